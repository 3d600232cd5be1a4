package flow

import (
	"context"
	"errors"

	"github.com/qanat-data/qanat/core/broker"
)

// errTorn says that a frame of a unit is not whole.
var errTorn = errors.New("a frame of the open unit is torn")

// damaged says that the log has lost something from the middle of a closed unit.
func damaged(err error) bool {
	_, gap := errors.AsType[*broker.GapError](err)
	return gap || errors.Is(err, errTorn)
}

// forgetDamaged drops the closed units of a log of which a server's crash has left some frames and not others, so that the next
// session reads them again; it could commit them as little as this one.
func (s *session) forgetDamaged(ctx context.Context, err error) error {
	if !damaged(err) {
		return err
	}
	return errors.Join(err, s.log.Purge(ctx, s.at.live))
}
