package e2e_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qanat-data/qanat/e2e/rig"
)

// TestCommand runs the scripts in testdata/script: each is an operator's session in a project folder of its own. Beside
// testscript's commands there are
//
//	qanat [CODE] ARGS…   runs the built command, which must end with the exit code; 0 if none is given
//	plugins FOLDER       copies the built plugins into a folder of the project
//	append FILE          adds a byte to a file
func TestCommand(t *testing.T) {
	t.Parallel()
	command := rig.Qanat(t)
	plugins := filepath.Join(rig.Root(), "bin", "plugins")
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("QANAT_PLUGINS", plugins)
			env.Setenv("QANAT", command) // for shells
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"qanat":   func(ts *testscript.TestScript, neg bool, args []string) { runQanat(ts, neg, command, args) },
			"plugins": func(ts *testscript.TestScript, _ bool, args []string) { copyPlugins(ts, plugins, args) },
			"append":  appendByte,
		},
	})
}

func runQanat(ts *testscript.TestScript, neg bool, command string, args []string) {
	if neg {
		ts.Fatalf("say which exit code is expected: qanat CODE ARGS…")
	}
	want := 0
	if len(args) > 0 {
		if code, err := strconv.Atoi(args[0]); err == nil {
			want, args = code, args[1:]
		}
	}
	code := 0
	err := ts.Exec(command, args...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, expected %d", code, want)
	}
}

func copyPlugins(ts *testscript.TestScript, from string, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: plugins FOLDER")
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[0]), os.DirFS(from)))
}

func appendByte(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: append FILE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString("\n")
	ts.Check(errors.Join(err, f.Close()))
}
