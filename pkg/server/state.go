package server

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/trust"
)

// state is everything that is served, at one moment. It is immutable but for
// what is prepared on demand.
type state struct {
	images []*image
	byKey  map[health.Key]*image
	byName map[string]*image // of several catalogs, the first that has the name
	lists  *lists

	policy   *trust.Policy         // that lets the images through; nil is none
	refusals []*refusal            // of what it does not, by catalog and name
	refused  map[string]*refusal   // of them, by name
	hidden   map[health.Key]*image // of them, what would be shown without the policy

	recalled bool // from the disk, and held against nothing yet
}

// newState makes the state that serves images, with the lists prepared that were
// asked of old.
func newState(old *state, images []*image, policy *trust.Policy, refused []*refusal) *state {
	s := &state{policy: policy, images: images, byKey: make(map[health.Key]*image, len(images)), byName: make(map[string]*image, len(images))}
	for _, i := range images {
		s.byKey[i.key()] = i
		if s.byName[i.name()] == nil {
			s.byName[i.name()] = i
		}
	}
	s.refuse(refused)
	s.lists = newLists(s)
	if old != nil {
		s.lists.prepare(old.lists.hot())
	}
	s.lists.prepare([]string{""})
	return s
}

// inParallel does something for each of count things, on all processors.
func inParallel(ctx context.Context, count int, do func(n int) error) error {
	workers, ctx := errgroup.WithContext(ctx)
	part := count/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < count; from += part {
		workers.Go(func() error {
			for n := from; n < min(from+part, count); n++ {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return workers.Wait()
}

// list answers a query of the list route.
func (s *state) list(q listQuery) (*answer, error) {
	return page(q, s.images, len(s.refusals), func(i *image) (string, error) { return i.text, nil })
}

// page cuts one page out of what the query finds, and writes it. refused is how
// many names the policy keeps back, whatever the query.
func page[T entry.Outlined](q listQuery, all []T, refused int, write func(T) (string, error)) (*answer, error) {
	matched := entry.Pick(q.query, all)
	total := len(matched)
	if q.after != nil {
		at, _ := slices.BinarySearchFunc(matched, q.after, func(a T, b *entry.Outline) int {
			if c := q.query.Compare(a.Outlined(), b); c != 0 {
				return c
			}
			return -1 // the one that was the last is behind us
		})
		matched = matched[at:]
	}
	token := ""
	if len(matched) > q.limit {
		matched = matched[:q.limit]
		token = q.next(matched[len(matched)-1].Outlined())
	}
	var body bytes.Buffer
	body.WriteString(`{"items":[`)
	for n, match := range matched {
		if n > 0 {
			body.WriteByte(',')
		}
		text, err := write(match)
		if err != nil {
			return nil, err
		}
		body.WriteString(text)
	}
	body.WriteString(`],"total":` + strconv.Itoa(total))
	if refused > 0 {
		body.WriteString(`,"refused":` + strconv.Itoa(refused))
	}
	if token != "" {
		body.WriteString(`,"continue":` + strconv.Quote(token))
	}
	body.WriteString("}")
	return newAnswer(slices.Clip(body.Bytes())), nil
}
