package server

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/health"
)

// image is one entry, ready to be served. It is immutable.
type image struct {
	item     entry.Item
	status   entry.Status // that is applied to item; zero is none
	accesses *atomic.Int64
	made     atomic.Pointer[answer]
}

// answer is the entry as JSON. It is kept once it was asked for.
func (i *image) answer() *answer {
	if made := i.made.Load(); made != nil {
		return made
	}
	text, err := i.marshal()
	if err != nil {
		text = []byte("null") // plain data, which always marshals
	}
	made := newAnswer(text)
	i.made.Store(made) // who comes second makes the same
	return made
}

func (i *image) marshal() ([]byte, error) {
	return json.Marshal(&i.item, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
}

func (i *image) text() []byte { return i.answer().plain.body }

// state is everything that is served, at one moment. It is immutable but for
// what is prepared on demand.
type state struct {
	images []*image
	refs   []*entry.Item          // the items of images, in the same order
	byRef  map[*entry.Item]*image // back from a query's result
	byName map[string]*image      // of several catalogs, the first that has the name
	lists  *lists
}

// newState makes the state of catalogs in order, taking over from old what did
// not change.
func newState(old *state, live [][]*entry.Revision, references []string, monitor *health.Monitor) *state {
	known := map[string]*image{}
	if old != nil {
		for _, i := range old.images {
			known[health.Key(&i.item)] = i
		}
	}
	var images []*image
	for n, revisions := range live {
		name := ""
		if len(references) > 1 {
			name = references[n]
		}
		for _, revision := range revisions {
			images = append(images, newImage(revision, name, known, monitor))
		}
	}
	return stateOf(old, images)
}

// stateOf makes the state that serves images, with the lists prepared that were
// asked of old.
func stateOf(old *state, images []*image) *state {
	s := &state{images: images, byName: make(map[string]*image, len(images)), byRef: make(map[*entry.Item]*image, len(images))}
	for _, i := range images {
		s.refs = append(s.refs, &i.item)
		s.byRef[&i.item] = i
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

func newImage(revision *entry.Revision, catalog string, known map[string]*image, monitor *health.Monitor) *image {
	probe := entry.Item{Name: revision.Tag.Name, Catalog: catalog}
	key := health.Key(&probe)
	var status entry.Status
	if monitor != nil {
		status, _ = monitor.Status(key)
	}
	if i := known[key]; i != nil && i.item.Revision == revision.Digest.String() && i.status == status {
		return i
	}
	i := &image{item: entry.NewItem(revision), status: status}
	i.item.Catalog = catalog
	if status.Name != "" {
		i.item.Apply(&status)
	}
	if monitor != nil {
		i.accesses = monitor.Accesses(key)
	}
	return i
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
			body.Write(i.text())
			continue
		}
		text, err := json.Marshal(item, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
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

// reference names the first catalog; several are joined.
func reference(catalogs []Catalog) []string {
	var all []string
	for _, c := range catalogs {
		all = append(all, strings.Clone(c.Reference()))
	}
	return all
}
