package crash_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// slow says whether the whole matrix is to be run, and not only the quick part.
func slow() bool { return os.Getenv("QANAT_SLOW") != "" }

func TestMain(m *testing.M) {
	code := m.Run()
	if path := os.Getenv("QANAT_CRASH_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(book.report()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// dice are random numbers that the seed and the name of the test decide.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(20240601)
	if text := os.Getenv("QANAT_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("QANAT_KILL_SEED: %v", err)
		}
	}
	t.Logf("QANAT_KILL_SEED=%d", seed)
	name := uint64(14695981039346656037)
	for _, b := range []byte(t.Name()) {
		name = (name ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, name))
}
