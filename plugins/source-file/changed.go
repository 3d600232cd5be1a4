package main

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/plugins/source-file/internal/text"
	"github.com/qanat-data/qanat/sdk"
)

// What to do about files that changed after they were read.
const (
	changedAppend = "append"
	changedReread = "reread"
	changedIgnore = "ignore"
)

// verdict says whether to read a file, and from where on.
type verdict struct {
	read bool
	from block.Mark
}

// decide compares a file with what is remembered of it.
func (r *run) decide(ctx context.Context, s *stream, f store.File) (verdict, error) {
	m := r.journal.find(s.name, f)
	switch {
	case m.state == unread:
		return verdict{read: true}, nil
	case m.state == foldedSame || (m.state == finished && m.stamp.same(f)):
		return verdict{}, nil
	case m.state == partly && m.stamp.same(f):
		return verdict{read: true, from: m.stamp.Mark}, nil
	}
	return r.decideChanged(ctx, s, f, m)
}

func (r *run) decideChanged(ctx context.Context, s *stream, f store.File, m known) (verdict, error) {
	switch policy := r.source.config.Changed; {
	case policy == changedReread:
		return verdict{read: true}, nil
	case policy == changedIgnore && m.state != partly:
		return verdict{}, nil
	case policy == changedAppend || policy == "":
		return r.decideGrown(ctx, s, f, m)
	}
	return verdict{}, changedError(f, m, "it changed after it was read")
}

// decideGrown goes on where the last read ended, if all before that is still there.
func (r *run) decideGrown(ctx context.Context, s *stream, f store.File, m known) (verdict, error) {
	k, err := s.files.kindOf(f.Path)
	if err != nil {
		return verdict{}, err
	}
	switch {
	case !k.appendable(f):
		return verdict{}, changedError(f, m, "it changed after it was read, and only local CSV and JSON Lines files without compression may grow")
	case m.state == foldedOther:
		return verdict{}, changedError(f, m, "it changed long after it was read, and where that ended is no longer remembered")
	case f.Size < m.stamp.Offset:
		return verdict{}, changedError(f, m, "it is shorter than what was read of it")
	}
	how, err := text.Continue(ctx, f, m.stamp.Mark)
	switch {
	case err != nil:
		return verdict{}, err
	case how == text.Other:
		return verdict{}, changedError(f, m, "what was read of it has changed")
	case how == text.Extended:
		return verdict{}, changedError(f, m, "its last record, which had no line end, has been continued")
	}
	return verdict{read: true, from: m.stamp.Mark}, nil
}

func changedError(f store.File, m known, what string) error {
	before := ""
	if m.state != foldedOther {
		before = fmt.Sprintf(" (then %d bytes, now %d)", m.stamp.Size, f.Size)
	}
	advice := "set changed: reread to read it again from its beginning, or changed: ignore to leave it"
	if m.state == partly {
		advice = "it was read in part, so its rows can't be told apart; set changed: reread to read it again from its beginning"
	}
	return sdk.ConfigError("/changed", "file %q: %s%s; %s", f.Path, what, before, advice)
}
