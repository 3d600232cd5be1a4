package value

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }
