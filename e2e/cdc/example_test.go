package cdc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// block is a fenced piece of a README.
var block = regexp.MustCompile("(?ms)^```(sh|)\n(.*?)^```$")

// What the example's README says is done, command by command, and gives what it shows.
func TestTheExampleDoesWhatItsReadmeSays(t *testing.T) {
	t.Parallel()
	server := rig.Postgres(t)
	for _, name := range []string{"shop", "warehouse"} {
		server.SQL(t, "postgres", "create database "+name)
	}
	p := rig.New(t, filepath.Join(rig.Root(), "specs", "examples", "postgres-cdc"))
	text, err := os.ReadFile(filepath.Join(p.Dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script, shown strings.Builder
	script.WriteString("set -e\n")
	for _, b := range block.FindAllStringSubmatch(string(text), -1) {
		switch {
		case b[1] == "":
			shown.WriteString(b[2])
		case strings.Contains(b[2], "make build"), strings.Contains(b[2], "rm -rf .qanat"): // the test has built it, and keeps what is there when it fails
		default:
			script.WriteString(strings.ReplaceAll(b[2], ". ./server.sh", ":"))
		}
	}
	script.WriteString("qanat provision shop --remove\n")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = p.Dir
	path := filepath.Dir(rig.Qanat(t)) + string(os.PathListSeparator) + filepath.Dir(server.Program("psql")) + string(os.PathListSeparator) + os.Getenv("PATH")
	cmd.Env = append(os.Environ(), append(p.Env, "PATH="+path, "SHOP_DSN="+server.DSN("shop"), "WAREHOUSE_DSN="+server.DSN("warehouse"))...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, said.String())
	}
	if missing := notIn(string(out), shown.String()); len(missing) > 0 {
		t.Errorf("lines that the README shows and that did not come:\n%s\nwhat came:\n%s", strings.Join(missing, "\n"), out)
	}
	if left := server.SQL(t, "shop", "select count(*) from pg_replication_slots"); strings.TrimSpace(left) != "0" {
		t.Errorf("%s slots are left", left)
	}
}

// notIn are the lines of shown that are not in out in their order, whatever the blanks.
func notIn(out, shown string) []string {
	squeeze := func(line string) string { return strings.Join(strings.Fields(line), " ") }
	have := strings.Split(out, "\n")
	var missing []string
	for line := range strings.Lines(shown) {
		want := squeeze(line)
		if want == "" {
			continue
		}
		found := false
		for i, h := range have {
			if cmp.Equal(squeeze(h), want) {
				have, found = have[i+1:], true
				break
			}
		}
		if !found {
			missing = append(missing, want)
		}
	}
	return missing
}
