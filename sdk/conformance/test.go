package conformance

import "context"

// TB is what Test needs of *testing.T.
type TB[T any] interface {
	Helper()
	Context() context.Context
	Run(name string, f func(T)) bool
	Log(args ...any)
	Error(args ...any)
	Fatal(args ...any)
	Skip(args ...any)
}

// Test makes a subtest of each check: conformance.Test(t, conformance.Settings{Binary: "bin/my-plugin"}).
func Test[T TB[T]](t T, settings Settings) {
	t.Helper()
	_, err := run(t.Context(), settings, func(c check, do func() Result) {
		t.Run(c.id, func(t T) {
			t.Helper()
			result := do()
			for _, note := range result.Notes {
				t.Log(note)
			}
			switch result.Status {
			case Failed:
				t.Error(result.Promise + "\n" + result.Detail)
			case Skipped:
				t.Skip(result.Detail)
			case Passed:
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
