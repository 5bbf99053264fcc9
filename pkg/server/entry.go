package server

import (
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// servedEntry is one entry, ready to be served. It is immutable but for the answer,
// which is made when it is first asked for.
type servedEntry struct {
	text     string           // the entry as JSON
	outline  entry.Outline    // what queries read
	subject  subject          // what probes and events are about
	status   entry.Status     // that is shown; zero is none
	finding  *serving.Finding // that it shows, or one that says the same; nil without a policy
	accesses *atomic.Int64    // nil where nobody counts them
	made     atomic.Pointer[body]
}

// subject says which image an entry is about, and where it came from.
type subject struct {
	revision, digest digest.Digest
	reference        string
	sourceType       entry.SourceType
	imageBuild       string
}

// newServedEntry makes the entry of an item in some state, with what the policy makes of
// it.
func newServedEntry(item entry.Item, status entry.Status, finding *serving.Finding) (*servedEntry, error) {
	if finding != nil {
		item.Verdict, item.Signers = finding.Verdict, finding.Signers
	}
	if status.Name != "" {
		health.Apply(&item, &status)
	}
	text, err := marshal(&item)
	if err != nil {
		return nil, err
	}
	e := &servedEntry{text: string(text), status: status, finding: finding}
	e.index(&item)
	return e, nil
}

// decodeServedEntry makes the entry that has a text, which is copied.
func decodeServedEntry(text []byte) (*servedEntry, error) {
	item, err := unmarshal(text)
	if err != nil {
		return nil, err
	}
	e := &servedEntry{text: string(text)}
	e.index(&item)
	return e, nil
}

// index fills in what queries and probes read.
func (e *servedEntry) index(item *entry.Item) {
	e.outline = item.Outline()
	e.subject = subject{item.Revision, item.Digest, item.RegistryURL, item.SourceType, item.SourceImageBuild}
}

// in returns the entry in another state.
func (e *servedEntry) in(status entry.Status) (*servedEntry, error) {
	item, err := unmarshal([]byte(e.text))
	if err != nil {
		return nil, err
	}
	return newServedEntry(item, status, e.finding)
}

// under returns the entry with what the policy makes of it now.
func (e *servedEntry) under(finding *serving.Finding) (*servedEntry, error) {
	if e.finding == finding || sameFinding(e.finding, finding) {
		return e, nil
	}
	item, err := unmarshal([]byte(e.text))
	if err != nil {
		return nil, err
	}
	changed, err := newServedEntry(item, e.status, finding)
	if err == nil {
		changed.accesses = e.accesses
	}
	return changed, err
}

// sameFinding reports whether two findings are shown alike.
func sameFinding(a, b *serving.Finding) bool {
	return a != nil && b != nil && a.Verdict == b.Verdict && a.Stale == b.Stale && slices.EqualFunc(a.Signers, b.Signers, func(x, y entry.Signer) bool {
		sameTime := x.Time == y.Time || x.Time != nil && y.Time != nil && x.Time.Equal(y.Time.Time)
		return x.What == y.What && x.Name == y.Name && x.Format == y.Format && sameTime
	})
}

func (e *servedEntry) name() string { return e.outline.Name }

func (e *servedEntry) key() health.Key {
	return health.Key{Catalog: e.outline.Catalog, Name: e.outline.Name}
}

// watched is as much of the entry as a monitor wants.
func (e *servedEntry) watched() entry.Item {
	return entry.Item{
		Name: e.outline.Name, Catalog: e.outline.Catalog, Revision: e.subject.revision, RegistryURL: e.subject.reference,
		Digest: e.subject.digest, Labels: e.outline.Labels, PublishedAt: e.outline.CreatedAt,
	}
}

// answer is the entry as it is served by itself.
func (e *servedEntry) answer() *body {
	if made := e.made.Load(); made != nil {
		return made
	}
	made := newBody([]byte(e.text))
	e.made.Store(made) // who comes second makes the same
	return made
}

// marshal writes a value as the API shows it.
func marshal(value any) ([]byte, error) {
	return json.Marshal(value, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
}

// unmarshal is marshal, back.
func unmarshal(text []byte) (item entry.Item, err error) {
	err = json.Unmarshal(text, &item, jsonv1.DefaultOptionsV1())
	return item, err
}
