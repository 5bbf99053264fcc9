package server

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
)

// state is everything that is served, at one moment. It is immutable but for
// what is prepared on demand.
type state struct {
	images []*image
	refs   []*entry.Item          // the items of images, in the same order
	byRef  map[*entry.Item]*image // back from a query's result
	byKey  map[health.Key]*image
	byName map[string]*image // of several catalogs, the first that has the name
	lists  *lists

	recalled bool // from the disk, and held against nothing yet
}

// newState makes the state that serves images, with the lists prepared that were
// asked of old.
func newState(old *state, images []*image) *state {
	s := &state{
		images: images, byName: make(map[string]*image, len(images)),
		byKey: make(map[health.Key]*image, len(images)), byRef: make(map[*entry.Item]*image, len(images)),
	}
	for _, i := range images {
		s.refs = append(s.refs, &i.item)
		s.byRef[&i.item] = i
		s.byKey[health.KeyOf(&i.item)] = i
		if s.byName[i.item.Name] == nil {
			s.byName[i.item.Name] = i
		}
	}
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
	return s.page(q, s.refs)
}

// page cuts one page out of what the query finds among items, and writes it.
func (s *state) page(q listQuery, items []*entry.Item) (*answer, error) {
	matched := q.query.Pick(items)
	total := len(matched)
	if q.after != nil {
		at, _ := slices.BinarySearchFunc(matched, q.after, func(a, b *entry.Item) int {
			if c := q.query.Compare(a, b); c != 0 {
				return c
			}
			return -1 // the one that was the last is behind us
		})
		matched = matched[at:]
	}
	token := ""
	if len(matched) > q.limit {
		matched = matched[:q.limit]
		token = q.next(matched[len(matched)-1])
	}
	var body bytes.Buffer
	body.WriteString(`{"items":[`)
	for n, item := range matched {
		if n > 0 {
			body.WriteByte(',')
		}
		if i := s.byRef[item]; i != nil {
			body.WriteString(i.text)
			continue
		}
		text, err := marshal(item)
		if err != nil {
			return nil, err
		}
		body.Write(text)
	}
	body.WriteString(`],"total":` + strconv.Itoa(total))
	if token != "" {
		body.WriteString(`,"continue":` + strconv.Quote(token))
	}
	body.WriteString("}")
	return newAnswer(slices.Clip(body.Bytes())), nil
}
