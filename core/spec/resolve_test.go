package spec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qanat-data/qanat/core/spec"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestReferencesResolve(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	write(t, dir, "secrets/key", "k-from-file\n")
	write(t, other, "data/token", "linked\r\n")
	if err := os.Symlink("data/token", filepath.Join(other, "token")); err != nil {
		t.Fatal(err)
	}
	r := spec.NewResolver(spec.ResolverSettings{
		Dir: dir, FilesBelow: []string{"missing", other},
		Lookup: lookup(map[string]string{"A": "va", "EMPTY": "", "BRACES": "${env:A}"}),
	})
	for _, c := range []struct{ text, want string }{
		{"plain $ {x} $$", "plain $ {x} $$"},
		{"${env:A}", "va"},
		{"a ${env:A} b ${env:A}", "a va b va"},
		{"$${env:A} ${env:A}", "${env:A} va"},
		{"${env:NONE:-fallback:-x}", "fallback:-x"},
		{"${env:NONE:-}", ""},
		{"${env:EMPTY:-d}", "d"},
		{"${env:EMPTY}", ""},
		{"${env:BRACES}", "${env:A}"},
		{"${file:secrets/key}", "k-from-file"},
		{"${file:./secrets/../secrets/key}", "k-from-file"},
		{"${file:" + filepath.Join(other, "token") + "}", "linked"},
	} {
		node, faults := r.Resolve(parseConfig(t, "a: "+quote(t, c.text)))
		if len(faults) > 0 {
			t.Errorf("%s: %v", c.text, faults)
			continue
		}
		if diff := cmp.Diff(c.want, node.Field("a").Text()); diff != "" {
			t.Errorf("%s: %s", c.text, diff)
		}
	}
}

func quote(t *testing.T, text string) string {
	t.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	extract(t, &txtar.Archive{Files: []txtar.File{{Name: name, Data: []byte(text)}}}, dir)
}

func TestReferencesThatLeadNowhereAreFaults(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, "secret", "s")
	write(t, dir, "large", strings.Repeat("x", 1<<20+1))
	for _, err := range []error{
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")),
		os.Symlink(outside, filepath.Join(dir, "folder")),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const outsideHint = " lies outside of the project folder (allow its folder with files_below in qanat.yaml)"
	r := spec.NewResolver(spec.ResolverSettings{Dir: dir, Lookup: lookup(nil)})
	for _, c := range []struct{ text, want string }{
		{"${env:NONE}", "environment variable NONE is not set (set it, or give a default: ${env:NONE:-…})"},
		{"${file:none}", `can't read file "none": no such file or directory (paths are relative to the project folder)`},
		{"${file:link}", `file "link"` + outsideHint},
		{"${file:folder/secret}", `file "folder/secret"` + outsideHint},
		{"${file:../../etc/passwd}", ""},
		{"${file:/etc/passwd}", `file "/etc/passwd"` + outsideHint},
		{"${file:.}", `"." is not a regular file`},
		{"${file:fifo}", `"fifo" is not a regular file`},
		{"${file:large}", `file "large" is larger than 1024 KiB`},
		{"${vault:x}", "unknown reference ${vault:x} (write ${env:NAME} or ${file:path}; $${ stands for a plain ${)"},
		{"${NAME}", "reference ${NAME} says not where the value is kept (write ${env:NAME}; $${ stands for a plain ${)"},
		{"${env:NAME", "a reference has no closing brace (write ${env:NAME} or ${file:path}; $${ stands for a plain ${)"},
		{"${env:}", `"" is not the name of an environment variable (write ${env:NAME} or ${env:NAME:-default})`},
	} {
		_, faults := r.Resolve(parseConfig(t, "a: "+quote(t, c.text)))
		if len(faults) != 1 || faults[0].Line != 1 || faults[0].Column != 4 || faults[0].Path != "/a" {
			t.Errorf("%s: %+v", c.text, faults)
			continue
		}
		if diff := cmp.Diff("c.yaml:1:4: "+c.want, faults[0].Error()); c.want != "" && diff != "" {
			t.Errorf("%s: %s", c.text, diff)
		}
	}
}

func TestRedactHidesWhatReferencesHeld(t *testing.T) {
	t.Parallel()
	r := spec.NewResolver(spec.ResolverSettings{Dir: t.TempDir(), Lookup: lookup(map[string]string{
		"DSN": "postgres://me:p%40ss+word@host/db", "KV": "host=h password='k v' x", "SHORT": "abc", "LINES": "top\nsecret", "PART": "p@ss+word-long",
	})})
	if got := r.Redact("nothing known"); got != "nothing known" {
		t.Error(got)
	}
	if _, faults := r.Resolve(parseConfig(t, `{a: "${env:DSN}", b: "${env:KV}", c: "${env:SHORT}", d: "${env:LINES}", e: "x${env:PART}"}`)); len(faults) > 0 {
		t.Fatal(faults)
	}
	for text, want := range map[string]string{
		"dial postgres://me:p%40ss+word@host/db: refused": "dial [secret]: refused",
		"password p@ss+word is wrong":                     "password [secret] is wrong",
		"?pw=p%40ss%2Bword&":                              "?pw=[secret]&",
		"p@ss+word-long":                                  "[secret]",
		"xp@ss+word-long":                                 "[secret]",
		"abc":                                             "abc",
		fmt.Sprintf("%q", "top\nsecret"):                  `"[secret]"`,
	} {
		if diff := cmp.Diff(want, r.Redact(text)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	p := spec.Project{NATS: spec.NATS{Password: "hunter2"}}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(p), fmt.Sprintf("%+v %#v %q %x %d", p, p, p.NATS.Password, p.NATS.Password, p.NATS.Password), string(data),
		errors.New(fmt.Sprint(p.NATS.Password)).Error(),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") || !strings.Contains(text, "[secret]") {
			t.Error(text)
		}
	}
	if p.NATS.Password.Reveal() != "hunter2" || fmt.Sprint(p.Objects.SecretKey) != "" {
		t.Error("the text is lost")
	}
}

func TestTheProjectResolvesWithItsDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "qanat.yaml", "kind: project\nname: shop\nnats: {url: nats://x, password: \"${file:pw}\"}\nobjects: {endpoint: \"h:1\", secure: false}\n")
	write(t, dir, "policies/p.rego", "")
	write(t, dir, "pw", "a${b\n")
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got, faults := bundle.Resolver().Project(bundle.Project)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got.Node = nil
	want := &spec.Project{
		Kind: "project", Name: "shop", NATS: spec.NATS{URL: "nats://x", Password: "a${b"},
		Objects: spec.Objects{Endpoint: "h:1", Region: "us-east-1", BucketPrefix: "qanat-"},
		State:   spec.State{Type: "sqlite"}, Catalog: spec.Catalog{Type: "state"},
		Policies: []string{"policies"}, Plugins: spec.Plugins{Path: []string{"bin/plugins"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	write(t, dir, "qanat.yaml", "kind: project\nname: shop\nstate: {type: postgres, dsn: \"${env:QANAT_TEST_UNSET}\"}\n")
	bundle, _ = spec.Load(t.Context(), spec.Options{Dir: dir})
	if _, faults := bundle.Resolver().Project(bundle.Project); len(faults) != 1 || faults[0].Line != 3 {
		t.Error(faults)
	}
}

func TestWithoutAProjectFileEverythingIsEmbedded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "My Shop")
	write(t, dir, "p.yaml", "kind: pipeline\nname: p\nflows: [{name: a, from: [landing.a.b], to: processing.a.b}]\n")
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: filepath.Dir(dir), Files: []string{"My Shop/p.yaml"}})
	if len(faults) > 0 || bundle.Dir != dir || bundle.Pipeline("p") == nil || bundle.Pipeline("q") != nil {
		t.Fatal(bundle, faults)
	}
	p, faults := bundle.Resolver().Project(bundle.Project)
	if len(faults) > 0 || p.Name != "my-shop" || !p.NATS.Embedded || !p.Objects.Embedded || p.State.Type != "sqlite" {
		t.Fatalf("%+v %v", p, faults)
	}
	if bundle.Path("x") != filepath.Join(dir, "x") || bundle.Path("/x") != "/x" {
		t.Error(bundle.Path("x"))
	}
}

func TestAnOverlayConfiguresAProjectWithoutAFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	write(t, dir, "overlays/prod.yaml", "kind: project\nobjects: {endpoint: \"s3:443\"}\n")
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir, Env: "prod"})
	if len(faults) > 0 || bundle.Project.Name != "shop" || bundle.Project.Objects.Endpoint != "s3:443" || bundle.Project.Objects.Embedded || !bundle.Project.NATS.Embedded {
		t.Fatalf("%+v %v", bundle.Project, faults)
	}
}
