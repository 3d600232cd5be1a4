package value

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/plugins/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }
