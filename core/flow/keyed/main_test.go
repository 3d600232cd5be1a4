package keyed

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, zonetest.Leaks()...) }
