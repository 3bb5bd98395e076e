# An S3 server with one identity, whose keys are in a file that only this container has.
set -eu
umask 077
cat >/tmp/s3.json <<JSON
{"identities": [{"name": "feature-ops", "actions": ["Admin"],
  "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}]}]}
JSON
export WEED_MASTER_VOLUME_GROWTH_COPY_1=1
# Only S3 is open to other containers. Volumes are small and as many as wanted: each bucket takes some.
# A single voter need not wait for others.
exec weed server -dir=/var/lib/seaweedfs -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -s3 -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.config=/tmp/s3.json -s3.port.iceberg=0 -s3.port.lance=0 \
    -volume.max=1000 -volume.preStopSeconds=0 \
    -master.volumeSizeLimitMB=64 -master.electionTimeout=1s -master.telemetry=false
