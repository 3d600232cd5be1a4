package main

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// as is the DSN of another role.
func (s *site) as(t testing.TB, role, password string) sdk.Secret {
	t.Helper()
	u, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return sdk.Secret(u.String())
}

// The README names these rights, and no others.
func TestARoleWithTheLeastRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text, at timestamptz default now())", "create table hidden (id int primary key)",
		"create table guarded (id int primary key)", "insert into t values (1, 'a'), (2, 'b')", "insert into guarded values (1)", "alter table guarded enable row level security")
	database := one[string](t, s, "select current_database()::text")
	reader, follower, maker := "r_"+database, "f_"+database, "m_"+database
	const password = "very-hidden-7f3a"
	s.exec(t, "create role "+reader+" login password '"+password+"'", "grant select on t to "+reader,
		"create role "+follower+" login replication password '"+password+"'", "grant select on t to "+follower,
		"create role "+maker+" login replication password '"+password+"'", "grant create on database "+database+" to "+maker)
	t.Cleanup(func() {
		s.dropSlots()
		for _, role := range []string{reader, follower, maker} {
			_, _ = s.sql.Exec(t.Context(), "drop owned by "+role)
		}
	})
	for _, config := range []Config{{}, {Mode: "incremental", Cursor: &Cursor{Column: "at"}}} {
		config.DSN = s.as(t, reader, password)
		if summary, err := s.source(t, config).Test(t.Context()); err != nil || !strings.Contains(summary, "1 tables") {
			t.Errorf("%s, %v", summary, err)
		}
		if r := s.read(t, config, nil); r.Rows("t") != 2 || len(r.Schemas) != 1 {
			t.Errorf("%d rows", r.Rows("t"))
		}
	}
	follows := Config{Mode: "cdc", DSN: s.as(t, follower, password), Tables: []string{"t"}}
	_, err := s.source(t, follows).Test(t.Context())
	if err == nil || !strings.Contains(err.Error(), "lacks CREATE on the database") {
		t.Errorf("got %v", err)
	}
	unable := follows
	unable.DSN = s.as(t, reader, password)
	if _, err := s.source(t, unable).Test(t.Context()); err == nil || !strings.Contains(err.Error(), "lacks REPLICATION") {
		t.Errorf("got %v", err)
	}
	s.exec(t, "create publication qanat_"+database+" for table t with (publish_via_partition_root = true)")
	if summary, err := s.source(t, follows).Test(t.Context()); err != nil || !strings.Contains(summary, "create it at the first read") {
		t.Errorf("%s, %v", summary, err)
	}
	first := s.read(t, follows, nil)
	s.exec(t, "update t set v = 'c' where id = 1")
	second := s.read(t, follows, last(t, first))
	if first.Rows("t") != 2 || second.Rows("t") != 1 {
		t.Errorf("%d and %d rows", first.Rows("t"), second.Rows("t"))
	}
	if err := s.source(t, follows).Ack(t.Context(), last(t, second)); err != nil {
		t.Error(err)
	}
	s.dropSlots()
	s.exec(t, "drop publication qanat_"+database, "alter table t owner to "+maker)
	makes := Config{Mode: "cdc", DSN: s.as(t, maker, password), Tables: []string{"t"}}
	if _, err := s.source(t, makes).Test(t.Context()); err != nil {
		t.Error(err)
	}
	if r := s.read(t, makes, nil); r.Rows("t") != 2 {
		t.Errorf("%d rows", r.Rows("t"))
	}
	s.exec(t, "grant select on guarded to "+reader)
	_, err = s.tryRead(t, Config{DSN: s.as(t, reader, password), Tables: []string{"guarded"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("rows are left out in silence: %v", err)
	}
	_, err = s.tryRead(t, Config{DSN: s.as(t, reader, password), Tables: []string{"hidden"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "may not read") {
		t.Errorf("got %v", err)
	}
	_, err = s.source(t, Config{DSN: s.as(t, reader, password+"x")}).Test(t.Context())
	if sdk.KindOf(err) != sdk.KindConfig || strings.Contains(err.Error(), password) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreVerified(t *testing.T) {
	t.Parallel()
	ca, cert, key := pgtest.Authority(t)
	server := pgtest.Own(t, "ssl=on", "ssl_cert_file="+cert, "ssl_key_file="+key)
	s := newSiteOn(t, server, "create table t (id int primary key)", "insert into t values (1)")
	config := cdc("t")
	config.DSN = sdk.Secret(s.dsn + "?sslmode=verify-full&sslrootcert=" + ca)
	var log bytes.Buffer
	r := &plugintest.Recorder{}
	defer r.Release()
	secured := false
	r.OnCheckpoint = func(sdk.Position) error {
		return s.sql.QueryRow(t.Context(), "select bool_and(s.ssl) from pg_stat_ssl s join pg_stat_activity a using (pid) where application_name = 'qanat'").Scan(&secured)
	}
	source := s.source(t, config)
	source.env.Log = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
	if err := source.Read(t.Context(), sdk.ReadRequest{}, r); err != nil || !secured || r.Rows("t") != 1 {
		t.Errorf("%v, secured: %t", err, secured)
	}
	if strings.Contains(log.String(), server.Password()) || log.Len() == 0 {
		t.Errorf("the log says %s", log.String())
	}
	other, _, _ := pgtest.Authority(t)
	for _, c := range []struct{ dsn, want string }{
		{s.dsn + "?sslmode=verify-full&sslrootcert=" + other, "certificate"},
		{strings.Replace(s.dsn, "127.0.0.1", "localhost", 1) + "?sslmode=verify-full&sslrootcert=" + ca, "certificate"},
	} {
		config.DSN = sdk.Secret(c.dsn)
		_, err := s.source(t, config).Test(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), server.Password()) {
			t.Errorf("got %v", err)
		}
	}
}
