package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/keyset"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// provision is what is to be done in the database.
type provision struct {
	actions    []sdk.Action
	statements []string // of one transaction
	dropSlot   string
}

func (p *provision) add(object, description string, statements ...string) {
	p.actions = append(p.actions, sdk.Action{Object: object, Description: description})
	p.statements = append(p.statements, statements...)
}

// PlanProvision implements sdk.Provisioner.
func (s *Source) PlanProvision(ctx context.Context, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	return s.provisioned(ctx, req, func(ctx context.Context, conn *pgx.Conn, p *provision) error {
		if req.Remove {
			return nil
		}
		return s.announce(ctx, conn, req, p)
	})
}

// Provision implements sdk.Provisioner.
func (s *Source) Provision(ctx context.Context, req sdk.ProvisionRequest) ([]sdk.Action, error) {
	return s.provisioned(ctx, req, carryOut)
}

func (s *Source) provisioned(ctx context.Context, req sdk.ProvisionRequest, then func(context.Context, *pgx.Conn, *provision) error) ([]sdk.Action, error) {
	if s.config.Mode != position.CDC {
		return nil, nil
	}
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Close(ctx, conn)
	work := s.needs
	if req.Remove {
		work = s.leavings
	}
	p, err := work(ctx, conn, req)
	if err == nil {
		err = then(ctx, conn, p)
	}
	if err != nil {
		return nil, server.Judge(ctx, "provision", err)
	}
	return p.actions, nil
}

// carryOut runs the statements in one transaction: a slot sees a publication as it was at each commit.
func carryOut(ctx context.Context, conn *pgx.Conn, p *provision) error {
	if p.dropSlot != "" {
		if err := replica.DropSlot(ctx, conn, p.dropSlot); err != nil {
			return err
		}
	}
	if len(p.statements) == 0 {
		return nil
	}
	if _, err := conn.PgConn().Exec(ctx, "begin; "+strings.Join(p.statements, "; ")+"; commit").ReadAll(); err != nil {
		return fmt.Errorf("%s: %w; the role needs CREATE on the database and must own the tables, or somebody else makes the publication and create is false", strings.Join(p.statements, "; "), err)
	}
	return nil
}

// marker in a publication's comment says that it is ours, and which slot belongs to it.
func marker(slot string) string { return "made by qanat for replication slot " + slot }

// needs works out what the publication lacks.
func (s *Source) needs(ctx context.Context, conn *pgx.Conn, req sdk.ProvisionRequest) (*provision, error) {
	var p provision
	tables, err := s.find(ctx, conn)
	if err != nil {
		return nil, err
	}
	if tables, err = selected(tables, req.Streams); err != nil {
		return nil, err
	}
	var names []replica.Table
	for _, t := range tables {
		names = append(names, replica.Table{Schema: t.Schema, Name: t.Name})
	}
	name, slot := s.config.publication(s.server.Database()), s.config.slot(s.server.Database())
	object := "publication " + name
	wanted := replica.Wanted{Name: name, Tables: names, ViaRoot: true}
	have, err := replica.ReadPublication(ctx, conn, name)
	switch {
	case replica.KindOf(err) == replica.PublicationMissing && !s.config.create():
		return nil, sdk.ConfigError("/publication", "%w, and create is false: make it with %s", err, strings.Join(wanted.Create(), "; "))
	case replica.KindOf(err) == replica.PublicationMissing:
		comment := "COMMENT ON PUBLICATION " + pgx.Identifier{name}.Sanitize() + " IS " + keyset.Literal(marker(slot))
		p.add(object, "create it for "+list(names)+warnings(tables), append(wanted.Create(), comment)...)
		return &p, nil
	case err != nil:
		return nil, err
	}
	return &p, s.missing(&p, tables, have, names)
}

// missing adds tables to a publication that is there. Others' tables in it are left alone.
func (s *Source) missing(p *provision, tables []*table, have replica.Publication, names []replica.Table) error {
	missing := have.Missing(names)
	if len(missing) == 0 {
		return nil
	}
	added := slices.DeleteFunc(slices.Clone(tables), func(t *table) bool {
		return !slices.Contains(missing, replica.Table{Schema: t.Schema, Name: t.Name})
	})
	for _, t := range added {
		if t.Partitioned && !have.ViaRoot {
			return sdk.ConfigError("/publication", "publication %q publishes the partitions of table %s and not the table: alter publication %s set (publish_via_partition_root = true)",
				have.Name, t, pgx.Identifier{have.Name}.Sanitize())
		}
	}
	statement := "ALTER PUBLICATION " + pgx.Identifier{have.Name}.Sanitize() + " ADD TABLE " + sqlList(missing)
	if !s.config.create() {
		return sdk.ConfigError("/publication", "publication %q lacks %s, and create is false: %s", have.Name, list(missing), statement)
	}
	p.add("publication "+have.Name, "add "+list(missing)+warnings(added), statement)
	return nil
}

func sqlList(tables []replica.Table) string {
	var names []string
	for _, t := range tables {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

func list(tables []replica.Table) string {
	var names []string
	for _, t := range tables {
		names = append(names, t.Schema+"."+t.Name)
	}
	return strings.Join(names, ", ")
}

// warnings name the tables whose updates and deletes the server will refuse once they are published.
func warnings(tables []*table) string {
	var names []string
	for _, t := range tables {
		if !t.Identified() {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; warning: without a primary key or replica identity the server refuses updates and deletes of " + strings.Join(names, ", ") +
		" from then on (alter table … replica identity full allows them)"
}

// announce says that the slot will be made by the first read.
func (s *Source) announce(ctx context.Context, conn *pgx.Conn, _ sdk.ProvisionRequest, p *provision) error {
	slot := s.config.slot(s.server.Database())
	_, err := replica.LookUpSlot(ctx, conn, slot)
	if replica.KindOf(err) != replica.SlotMissing {
		return err
	}
	if s.config.create() {
		p.actions = append(p.actions, sdk.Action{Object: "replication slot " + slot, Description: "create it at the first read, which begins with its snapshot"})
		return nil
	}
	return sdk.ConfigError("/slot", "%w, and create is false: make it with select pg_create_logical_replication_slot('%s', 'pgoutput')", err, slot)
}

// leavings are what was made here: a publication that says so, and the slot that it names or that has the name which is ours by default.
func (s *Source) leavings(ctx context.Context, conn *pgx.Conn, _ sdk.ProvisionRequest) (*provision, error) {
	var p provision
	if !s.config.create() {
		return &p, nil
	}
	database := s.server.Database()
	name, slot := s.config.publication(database), s.config.slot(database)
	var comment string
	err := conn.QueryRow(ctx, "select coalesce(obj_description(oid, 'pg_publication'), '') from pg_publication where pubname = $1", name).Scan(&comment)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	ours := comment == marker(slot)
	if _, err = replica.LookUpSlot(ctx, conn, slot); err == nil && (ours || s.config.Slot == "") {
		p.dropSlot = slot
		p.actions = append(p.actions, sdk.Action{Object: "replication slot " + slot, Description: "drop it", Destructive: true})
	} else if err != nil && replica.KindOf(err) != replica.SlotMissing {
		return nil, err
	}
	if ours {
		p.statements = replica.DropPublication(name)
		p.actions = append(p.actions, sdk.Action{Object: "publication " + name, Description: "drop it", Destructive: true})
	}
	return &p, nil
}
