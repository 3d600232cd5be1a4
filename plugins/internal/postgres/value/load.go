package value

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxTypes bounds what types may be made of.
const maxTypes = 20_000

const (
	typesQuery = `select t.oid, t.typname, n.nspname, t.typtype, t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc,
		t.typelem, t.typbasetype, t.typtypmod, t.typdelim, coalesce(e.extname, '')
	from pg_catalog.pg_type t
	join pg_catalog.pg_namespace n on n.oid = t.typnamespace
	left join pg_catalog.pg_depend d
		on d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid and d.deptype = 'e'
	left join pg_catalog.pg_extension e on e.oid = d.refobjid
	where t.oid in (%s)`
	attributesQuery = `select t.oid, a.attname, a.atttypid, a.atttypmod
	from pg_catalog.pg_type t
	join pg_catalog.pg_attribute a on a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
	where t.typtype = 'c' and t.oid in (%s) order by t.oid, a.attnum`
	labelsQuery = `select enumtypid, enumlabel from pg_catalog.pg_enum where enumtypid in (%s) order by enumtypid, enumsortorder`
)

// Load asks for types and for all that they are made of, and replaces what the catalog knew of them. The queries are simple ones, so
// that a connection for replication may carry them, too.
func (c *Catalog) Load(ctx context.Context, conn *pgconn.PgConn, oids ...uint32) error {
	loaded := make(map[uint32]*pgType, len(oids))
	for missing := oids; len(missing) > 0; {
		if len(loaded)+len(missing) > maxTypes {
			return fmt.Errorf("the types consist of more than %d others", maxTypes)
		}
		for _, oid := range missing {
			loaded[oid] = &pgType{name: "unknown"}
		}
		if err := loadTypes(ctx, conn, missing, loaded); err != nil {
			return fmt.Errorf("load types: %w", err)
		}
		missing = absent(missing, loaded)
	}
	maps.Copy(c.types, loaded)
	return nil
}

// absent is what the types of oids are made of that is not there yet.
func absent(oids []uint32, loaded map[uint32]*pgType) []uint32 {
	var more []uint32
	seen := map[uint32]bool{}
	need := func(oid uint32) {
		if _, there := loaded[oid]; !there && !seen[oid] && oid != 0 {
			seen[oid] = true
			more = append(more, oid)
		}
	}
	for _, oid := range oids {
		t := loaded[oid]
		need(t.base)
		if t.array {
			need(t.element)
		}
		for _, a := range t.attributes {
			need(a.oid)
		}
	}
	return more
}

func loadTypes(ctx context.Context, conn *pgconn.PgConn, oids []uint32, into map[uint32]*pgType) error {
	texts := make([]string, len(oids))
	for i, oid := range oids {
		texts[i] = strconv.FormatUint(uint64(oid), 10)
	}
	list := strings.Join(texts, ",")
	results, err := conn.Exec(ctx, fmt.Sprintf(typesQuery+";"+attributesQuery+";"+labelsQuery, list, list, list)).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 3 {
		return fmt.Errorf("%d results, expected 3", len(results))
	}
	for i, read := range []func(row, map[uint32]*pgType) error{readType, readAttribute, readLabel} {
		for _, values := range results[i].Rows {
			if err := read(row(values), into); err != nil {
				return err
			}
		}
	}
	return nil
}

// row is the values of a row in text form.
type row [][]byte

func (r row) text(i int) string { return string(r[i]) }

func (r row) oid(i int) (uint32, error) {
	v, err := strconv.ParseUint(r.text(i), 10, 32)
	return uint32(v), err
}

func (r row) letter(i int) byte {
	if len(r[i]) == 0 {
		return 0
	}
	return r[i][0]
}

func (r row) int32(i int) (int32, error) {
	v, err := strconv.ParseInt(r.text(i), 10, 32)
	return int32(v), err
}

func readType(r row, into map[uint32]*pgType) error {
	oid, err := r.oid(0)
	if err != nil {
		return err
	}
	t := &pgType{
		name: r.text(1), schema: r.text(2), variety: r.letter(3), array: r.text(4) == "t", delimiter: r.letter(8), extension: r.text(9),
	}
	if t.element, err = r.oid(5); err != nil {
		return err
	}
	if t.base, err = r.oid(6); err != nil {
		return err
	}
	if t.typmod, err = r.int32(7); err != nil {
		return err
	}
	into[oid] = t
	return nil
}

func readAttribute(r row, into map[uint32]*pgType) error {
	oid, err := r.oid(0)
	if err != nil {
		return err
	}
	a := attribute{name: r.text(1)}
	if a.oid, err = r.oid(2); err != nil {
		return err
	}
	if a.typmod, err = r.int32(3); err != nil {
		return err
	}
	if t := into[oid]; t != nil {
		t.attributes = append(t.attributes, a)
	}
	return nil
}

func readLabel(r row, into map[uint32]*pgType) error {
	oid, err := r.oid(0)
	if err != nil {
		return err
	}
	if t := into[oid]; t != nil {
		t.labels = append(t.labels, r.text(1))
	}
	return nil
}
