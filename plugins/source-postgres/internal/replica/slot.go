package replica

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// plugin is the output plugin that package pgoutput reads.
const plugin = "pgoutput"

// Slot is a logical replication slot as the server shows it.
type Slot struct {
	Name           string
	Plugin         string
	Database       string
	ActivePID      int          // of the server process that uses it, or zero
	WALStatus      string       // reserved, extended, unreserved or lost; empty before PostgreSQL 13
	RestartLSN     pgoutput.LSN // the oldest log that the slot holds; zero if it is lost
	ConfirmedFlush pgoutput.LSN // transactions that commit before it are not sent again
	Current        pgoutput.LSN // where the server writes
	Lag            int64        // bytes from ConfirmedFlush to Current
	Retained       int64        // bytes from RestartLSN to Current: log that the server keeps for this slot
	SafeWAL        int64        // bytes that may be written before the slot is in danger of being lost; -1 without a limit
}

// Invalidated says that the server removed log that the slot needs. It can only be dropped.
func (s Slot) Invalidated() bool { return s.WALStatus == "lost" }

const slotSQL = `
select slot_name::text, coalesce(plugin::text, ''), coalesce(database::text, ''), coalesce(active_pid, 0),
  coalesce(to_jsonb(s)->>'wal_status', ''), coalesce(restart_lsn, '0/0')::text, coalesce(confirmed_flush_lsn, '0/0')::text, w.lsn::text,
  coalesce((to_jsonb(s)->>'safe_wal_size')::bigint, -1)
from pg_replication_slots s,
  (select case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end as lsn) w
where slot_name = $1`

// LookUpSlot reads a slot's state. A stream's slot is looked up on another connection.
func LookUpSlot(ctx context.Context, q Querier, name string) (Slot, error) {
	var s Slot
	var restart, confirmed, current string
	err := queryRow(ctx, q, slotSQL, []any{name}, &s.Name, &s.Plugin, &s.Database, &s.ActivePID, &s.WALStatus, &restart, &confirmed, &current, &s.SafeWAL)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fault(SlotMissing, name, "there is no replication slot %q", name)
	}
	if err != nil {
		return s, judge(ctx, err, name, "look up the replication slot")
	}
	for _, p := range []struct {
		text string
		to   *pgoutput.LSN
	}{{restart, &s.RestartLSN}, {confirmed, &s.ConfirmedFlush}, {current, &s.Current}} {
		if *p.to, err = pgoutput.ParseLSN(p.text); err != nil {
			return s, err
		}
	}
	s.Lag, s.Retained = behind(s.ConfirmedFlush, s.Current), behind(s.RestartLSN, s.Current)
	return s, nil
}

// behind is how many bytes a position lags; none if there is no position.
func behind(at, end pgoutput.LSN) int64 {
	if at == 0 || at > end {
		return 0
	}
	return int64(end - at) //nolint:gosec // a log of 8 EiB is not written
}

// Created is a new slot.
type Created struct {
	Name       string
	Consistent pgoutput.LSN // transactions that commit from here on are sent; those before are in the snapshot
	Snapshot   string       // its name, for "set transaction snapshot"; empty if none was exported
}

// CreateSlot makes a logical slot of pgoutput. It waits for transactions that are open.
func (c *Conn) CreateSlot(ctx context.Context, name string) (Created, error) {
	return c.create(ctx, name, "NOEXPORT_SNAPSHOT")
}

// CreateSlotWithSnapshot exports a snapshot of what was committed at the slot's consistent point. It lasts until ReleaseSnapshot, Start or
// Close; until then the connection refuses other commands, which would end it.
func (c *Conn) CreateSlotWithSnapshot(ctx context.Context, name string) (Created, error) {
	created, err := c.create(ctx, name, "EXPORT_SNAPSHOT")
	c.snapshot = created.Snapshot
	return created, err
}

func (c *Conn) create(ctx context.Context, name, snapshot string) (Created, error) {
	if err := checkLevel(ctx, c); err != nil {
		return Created{}, err
	}
	var created Created
	var consistent, output string
	var exported *string
	sql := "CREATE_REPLICATION_SLOT " + pgx.Identifier{name}.Sanitize() + " LOGICAL " + plugin + " " + snapshot
	if err := queryRow(ctx, c, sql, nil, &created.Name, &consistent, &exported, &output); err != nil {
		return Created{}, judge(ctx, err, name, "create the replication slot")
	}
	if exported != nil {
		created.Snapshot = *exported
	}
	var err error
	created.Consistent, err = pgoutput.ParseLSN(consistent)
	return created, err
}

func checkLevel(ctx context.Context, q Querier) error {
	var level string
	if err := queryRow(ctx, q, "select current_setting('wal_level')", nil, &level); err != nil {
		return judge(ctx, err, "", "read wal_level")
	}
	if level != "logical" {
		return fault(WALLevelTooLow, "", "the server's wal_level is %q, and logical replication needs %q", level, "logical")
	}
	return nil
}

// DropSlot removes a slot that nobody uses.
func DropSlot(ctx context.Context, q Querier, name string) error {
	if _, err := LookUpSlot(ctx, q, name); err != nil {
		return err
	}
	var none any
	err := queryRow(ctx, q, "select pg_drop_replication_slot($1)::text", []any{name}, &none)
	return inUse(ctx, q, judge(ctx, err, name, "drop the replication slot"))
}

// inUse adds to an error who uses the slot. The server says it too, but in words.
func inUse(ctx context.Context, q Querier, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != SlotInUse {
		return err
	}
	slot, failed := LookUpSlot(ctx, q, e.Slot)
	if failed == nil {
		e.PID = slot.ActivePID
	}
	return e
}
