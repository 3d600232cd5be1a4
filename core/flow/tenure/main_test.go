package tenure

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }
