package zone

import (
	"time"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// UnavailableError says that the object store is to blame for a failure, not what was asked of it.
type UnavailableError = objects.UnavailableError

// Trouble says what is wrong with the object store right now and since when, as its latest requests show; an empty text means nothing.
func (z *Zones) Trouble() (what string, since time.Time) { return z.client.Trouble() }
