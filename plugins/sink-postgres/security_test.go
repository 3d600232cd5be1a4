package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
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
func TestRolesWithTheLeastRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create schema shop", "create schema made", "create table shop.orders (id int8 primary key, note text)")
	database := one[string](t, s, "select current_database()::text")
	writer, maker := "w_"+database, "m_"+database
	const password = "very-hidden-7f3a"
	ledger := strings.ReplaceAll(s.open(t, Config{Schema: "shop"}, sdk.Append).ledger.createSQL(), "\n", " ")
	s.exec(t, "revoke all on database "+database+" from public", "revoke all on schema public from public", ledger,
		"create role "+writer+" login password '"+password+"'", "grant connect, temp on database "+database+" to "+writer,
		"grant usage on schema shop to "+writer, "grant select, insert, update on shop._qanat_ledger to "+writer,
		"create role "+maker+" login password '"+password+"'", "grant connect, temp on database "+database+" to "+maker, "grant usage, create on schema made to "+maker)
	no := false
	given := Config{DSN: s.as(t, writer, password), Schema: "shop", Create: &no, Evolve: &no}
	changes := sdk.SchemaChange{Stream: "orders", Version: 1, Schema: change.Schema(orders, []string{"id"})}
	for i, c := range []struct {
		mode   sdk.WriteMode
		grants string
		stream sdk.SchemaChange
		record arrow.RecordBatch
	}{
		{sdk.Append, "insert", ordersStream(), numbered(1, 2)},
		{sdk.Overwrite, "insert, delete", ordersStream(), numbered(1, 2)},
		{sdk.Upsert, "select, insert, update, delete", changes, record(t, changes.Schema, `{"id":2,"_op":2,"_unchanged":["note"]}`, `{"id":1,"_op":3}`, `{"id":3,"note":"c","_op":1}`)},
	} {
		s.exec(t, "revoke all on shop.orders from "+writer, "grant "+c.grants+" on shop.orders to "+writer)
		config := given
		if _, err := s.open(t, config, c.mode).Test(t.Context()); err != nil {
			t.Error(err)
		}
		sink, _ := s.begin(t, config, c.mode, uint64(i+1), c.stream)
		none(t, write(t, sink, "orders", 1, c.record))
		none(t, commit(t, sink, mark(uint64(i+1), uint64(i+1))))
	}
	s.want(t, "select * from shop.orders order by id", `(2,"note 2")`, "(3,c)")
	makes := Config{DSN: s.as(t, maker, password), Schema: "made"}
	if summary, err := s.open(t, makes, sdk.Upsert).Test(t.Context()); err != nil || !strings.Contains(summary, maker) {
		t.Error(summary, err)
	}
	sink, _ := s.begin(t, makes, sdk.Upsert, 1, changes)
	none(t, write(t, sink, "orders", 1, record(t, changes.Schema, `{"id":3,"note":"c","_op":1}`)))
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from made.orders", "(3,c)")
	for want, c := range map[string]Config{
		`no schema "nowhere", and role`: {DSN: s.as(t, maker, password), Schema: "nowhere"},
		"lacks USAGE on schema":         {DSN: s.as(t, maker, password), Schema: "shop"},
		"password authentication":       {DSN: s.as(t, maker, password+"x")},
		"lacks CREATE on schema":        {DSN: s.as(t, writer, password), Schema: "shop", Ledger: "other"},
		"and create is false":           {DSN: s.as(t, writer, password), Schema: "shop", Ledger: "other", Create: &no},
		`no column "flow"`:              {DSN: s.as(t, writer, password), Schema: "shop", Ledger: "orders", Table: "x"},
	} {
		_, err := s.open(t, c, sdk.Append).Test(t.Context())
		if sdk.KindOf(err) != sdk.KindConfig || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestConnectionsAreVerified(t *testing.T) {
	t.Parallel()
	ca, cert, key := pgtest.Authority(t)
	server := pgtest.Own(t, "ssl=on", "ssl_cert_file="+cert, "ssl_key_file="+key)
	s := newSiteOn(t, server)
	config := Config{DSN: sdk.Secret(s.dsn + "?sslmode=verify-full&sslrootcert=" + ca)}
	sink, _ := s.begin(t, config, sdk.Append, 1, ordersStream())
	s.want(t, "select bool_and(s.ssl) from pg_stat_ssl s join pg_stat_activity a using (pid) where application_name = 'qanat'", "(t)")
	none(t, write(t, sink, "orders", 1, numbered(1, 2)))
	none(t, commit(t, sink, mark(1, 1)))
	other, _, _ := pgtest.Authority(t)
	config.DSN = sdk.Secret(s.dsn + "?sslmode=verify-full&sslrootcert=" + other)
	_, err := s.open(t, config, sdk.Append).Begin(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), server.Password()) {
		t.Errorf("got %v", err)
	}
}
