package cdc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// mirror is another server that subscribes to the same tables by PostgreSQL's own means.
type mirror struct {
	t              *testing.T
	source, server *rig.PostgresServer
}

func subscribe(t *testing.T, source *rig.PostgresServer) *mirror {
	t.Helper()
	m := &mirror{t: t, source: source, server: rig.Postgres(t, "wal_retrieve_retry_interval=200ms")}
	m.server.Must(t, "pgbench", "postgres", "-i", "-q", "-I", "dtp")
	source.SQL(t, "postgres", "create publication mirror for table pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history")
	m.server.SQL(t, "postgres", fmt.Sprintf("create subscription mirror connection '%s' publication mirror", source.DSN("postgres")))
	return m
}

// await waits until the subscriber has all that the source has committed.
func (m *mirror) await() {
	m.t.Helper()
	lsn := strings.TrimSpace(m.source.SQL(m.t, "postgres", "select pg_current_wal_lsn()"))
	until := "select count(*) from pg_subscription_rel where srsubstate <> 'r'"
	applied := fmt.Sprintf("select count(*) from pg_stat_subscription where subname = 'mirror' and relid is null and latest_end_lsn >= '%s'", lsn)
	limit := time.Now().Add(5 * time.Minute)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(limit) {
		if strings.TrimSpace(m.server.SQL(m.t, "postgres", until)) == "0" && strings.TrimSpace(m.server.SQL(m.t, "postgres", applied)) == "1" {
			return
		}
		<-tick.C
	}
	m.t.Fatalf("the subscriber has not come to %s:\n%s", lsn, m.server.SQL(m.t, "postgres", "select * from pg_stat_subscription"))
}
