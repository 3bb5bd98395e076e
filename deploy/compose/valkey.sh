# Valkey that keeps every write on disk. Passwords come by standard input, not as arguments. The rights of its users
# are those of demo/online_store_users.py.
set -eu
CONNECT="+auth +hello +ping +quit +reset +client|setinfo +client|setname +client|id"
exec valkey-server - --dir /data --appendonly yes --save '' <<CONF
requirepass $VALKEY_PASSWORD
user feast reset on >$VALKEY_FEAST_PASSWORD ~* resetchannels +@all -@admin -@dangerous -@pubsub -select -move -copy -function -cluster -script|kill -script|flush $CONNECT
user feast_reader reset on >$VALKEY_READER_PASSWORD ~* resetchannels -@all +@read -@dangerous -scan -randomkey -dbsize $CONNECT
CONF
