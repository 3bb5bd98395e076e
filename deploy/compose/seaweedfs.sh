# An S3 server whose identities are in a file that only this container has; what each may do is that of
# demo/identities.py.
set -eu
umask 077
cat >/tmp/s3.json <<JSON
{"identities": [
  {"name": "admin", "actions": ["Admin"],
   "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}]},
  {"name": "airflow",
   "actions": ["Read:data", "Write:data", "List:data", "Tagging:data",
               "Read:data-cache", "Write:data-cache", "List:data-cache", "Tagging:data-cache"],
   "credentials": [{"accessKey": "airflow", "secretKey": "$S3_AIRFLOW_SECRET_KEY"}]},
  {"name": "mlflow",
   "actions": ["Read:models", "Write:models", "List:models", "Tagging:models"],
   "credentials": [{"accessKey": "mlflow", "secretKey": "$S3_MLFLOW_SECRET_KEY"}]},
  {"name": "training",
   "actions": ["Read:data/song_properties/*", "List:data/song_properties/*", "Read:data/song_propertie?",
               "Read:data/song_rankings/*", "List:data/song_rankings/*", "Read:data/song_ranking?",
               "Read:data/_training/jukebox/results/*", "List:data/_training/jukebox/results/*",
               "Read:data/_training/jukebox/result?", "Write:data/_training/jukebox/results/*"],
   "credentials": [{"accessKey": "training", "secretKey": "$S3_TRAINING_SECRET_KEY"}]},
  {"name": "serving",
   "actions": ["Read:data/song_properties/*", "List:data/song_properties/*", "Read:data/song_propertie?"],
   "credentials": [{"accessKey": "serving", "secretKey": "$S3_SERVING_SECRET_KEY"}]}
]}
JSON
export WEED_MASTER_VOLUME_GROWTH_COPY_1=1
# Only S3 is open to other containers. Volumes are small and as many as wanted: each bucket takes some.
# A single voter need not wait for others.
exec weed server -dir=/var/lib/seaweedfs -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -s3 -s3.ip.bind=0.0.0.0 -s3.port=8333 -s3.config=/tmp/s3.json -s3.port.iceberg=0 -s3.port.lance=0 \
    -volume.max=1000 -volume.preStopSeconds=0 \
    -master.volumeSizeLimitMB=64 -master.electionTimeout=1s -master.telemetry=false
