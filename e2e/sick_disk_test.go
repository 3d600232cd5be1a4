package e2e_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

const diskRows, diskRate = 20_000, 6_000

// disks are the places that can be full, and how their folder is called in errors.
var disks = map[string]func(s *sick) *rig.Disk{
	"the logs":    func(s *sick) *rig.Disk { return rig.Mount(s.t, filepath.Join(s.Dir, ".qanat/nats"), 32) },
	"the objects": func(s *sick) *rig.Disk { return rig.Mount(s.t, filepath.Join(s.Dir, ".qanat/objects"), 32) },
	"the state": func(s *sick) *rig.Disk {
		d := rig.Mount(s.t, filepath.Join(s.Dir, ".qanat"), 16)
		for _, folder := range []string{"nats", "objects", "plugins", "tmp"} {
			d.Behind(folder)
		}
		return d
	},
	"the sink's files": func(s *sick) *rig.Disk { return rig.Mount(s.t, filepath.Join(s.Dir, "out"), 8) },
	"everything": func(s *sick) *rig.Disk {
		d := rig.Mount(s.t, filepath.Join(s.Dir, ".qanat"), 64)
		d.Behind("plugins")
		return d
	},
}

// sound looks that nothing is broken: neither the state database nor any object that can be seen.
func (s *sick) sound() {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, ".qanat", "state.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var said string
	if err := db.QueryRowContext(s.t.Context(), "pragma integrity_check").Scan(&said); err != nil || said != "ok" {
		s.t.Errorf("the state database: %s, %v", said, err)
	}
	for _, zone := range []string{"landing", "processing"} {
		files := filepath.Join(s.Dir, ".qanat/objects/buckets", "qanat-"+zone, "rows/*/data/*.parquet")
		if n := openDuck(s.t).line(fmt.Sprintf("select count(*) from read_parquet('%s', union_by_name = true)", files)); n == "0" {
			s.t.Errorf("no rows in %s", files)
		}
	}
}

// fullDisks are the places for a scenario: those named, and all of them where there is time.
func fullDisks(names ...string) map[string]func(s *sick) *rig.Disk {
	if slow() {
		return disks
	}
	chosen := map[string]func(s *sick) *rig.Disk{}
	for _, name := range names {
		chosen[name] = disks[name]
	}
	return chosen
}

func TestRunsWaitForRoomOnTheDisk(t *testing.T) {
	t.Parallel()
	for name, mount := range fullDisks("the logs", "the objects", "the sink's files") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSick(t, diskRows, diskRate, long)
			disk := mount(s)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			disk.Fill()
			s.says(running, "waiting for")
			s.says(running, "no space left on device")
			waits(t, 2*time.Second)
			disk.Free()
			s.succeeds(running)
			s.check()
			s.sound()
		})
	}
}

func TestRunsEndWhenADiskStaysFullAndGoOnLater(t *testing.T) {
	t.Parallel()
	for name, mount := range fullDisks("the state", "everything") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSick(t, diskRows, diskRate, short)
			disk := mount(s)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			disk.Fill()
			s.fails(running, environment, "no space left on device", s.Dir)
			disk.Free()
			s.Must("run", "rows")
			s.check()
			s.sound()
		})
	}
}
