package cdc_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// slow says whether the whole is to be run, and not only the quick part.
func slow() bool { return os.Getenv("QANAT_SLOW") != "" }

// dice are random numbers that the seed decides.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(20261122)
	if text := os.Getenv("QANAT_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("QANAT_KILL_SEED: %v", err)
		}
	}
	t.Logf("QANAT_KILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}
