# Starts a PostgreSQL server of this folder's own, under .postgres, and says where it is: ". ./server.sh". "sh server.sh stop" ends it and
# removes its files. If you have a server with wal_level = logical, set SHOP_DSN and WAREHOUSE_DSN yourself instead.

folder=$PWD/.postgres
initdb=$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)
bin=$(dirname "$(readlink -f "${initdb:-/none/initdb}")")
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
	folder=${TMPDIR:-/tmp}/qanat-example-postgres
	as_owner() { runuser -u postgres -- "$@"; }
fi

if [ "${1:-}" = stop ]; then
	as_owner "$bin/pg_ctl" -D "$folder/data" -m fast stop >/dev/null
	rm -rf "$folder"
elif [ ! -x "$bin/initdb" ]; then
	echo "there is no PostgreSQL server on this machine: apt-get install postgresql" >&2
else
	export PGPORT="${PGPORT:-54329}"
	if [ ! -d "$folder" ]; then
		mkdir -p "$folder"
		[ "$(id -u)" = 0 ] && chown postgres "$folder"
		(cd / && as_owner "$bin/initdb" -D "$folder/data" -U shop -A trust >/dev/null)
	fi
	(cd / && as_owner "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-h 127.0.0.1 -p $PGPORT -k '' -c wal_level=logical" start >/dev/null)
	export SHOP_DSN="postgres://shop@127.0.0.1:$PGPORT/shop" WAREHOUSE_DSN="postgres://shop@127.0.0.1:$PGPORT/warehouse"
	for name in shop warehouse; do
		"$bin/createdb" -h 127.0.0.1 -U shop "$name" 2>/dev/null || true
	done
	echo "PostgreSQL listens on 127.0.0.1:$PGPORT"
fi
