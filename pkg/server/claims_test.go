package server

import (
	"context"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/serving"
	"github.com/oci-catalog/caib/pkg/trust"
)

// claiming is a view whose publications say something, or cannot be read.
type claiming struct {
	serving.View
	claims map[string][]entry.Outline
	err    error
	asked  int
}

func (c *claiming) Claims(context.Context, map[string]bool) (map[string][]entry.Outline, error) {
	c.asked++
	return c.claims, c.err
}

// While it cannot be told what refused publications say, all of them count, and it is
// asked again; what was told is remembered.
func TestClaimsThatCannotBeRead(t *testing.T) {
	view := &claiming{err: entry.ErrUnreachable}
	refused := &refusal{key: health.Key{Name: "a"}, err: &trust.Error{Verdict: entry.VerdictUnsigned}, entry: &servedEntry{}, view: view}
	s := newState(t.Context(), nil, nil, nil, []*refusal{refused}, nil)
	want := func(q entry.Query, count int, known bool, asked int) {
		t.Helper()
		gotCount, gotKnown := s.couldMatch(t.Context(), q)
		if gotCount != count || gotKnown != known || view.asked != asked {
			t.Errorf("%+v: %d refused, known %t, after %d questions; want %d, %t, %d", q, gotCount, gotKnown, view.asked, count, known, asked)
		}
	}
	rpi4, qemu := entry.Query{Targets: []string{"rpi4"}}, entry.Query{Targets: []string{"qemu"}}
	want(rpi4, 1, false, 1)
	want(rpi4, 1, false, 2)
	view.err, view.claims = nil, map[string][]entry.Outline{"a": {{Targets: []string{"rpi4"}}}}
	want(rpi4, 1, true, 3)
	want(qemu, 0, true, 3)
	want(entry.Query{Latest: true, Phase: entry.PhaseAvailable}, 1, true, 3)

	view.claims = map[string][]entry.Outline{} // one of its publications cannot be read
	s = newState(t.Context(), nil, nil, nil, []*refusal{refused}, nil)
	want(qemu, 1, true, 4)
	refused.err = &trust.Error{Verdict: entry.VerdictUnknown}
	want(qemu, 1, true, 4)
}
