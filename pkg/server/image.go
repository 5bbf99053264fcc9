package server

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// image is one entry, ready to be served. It is immutable but for the answer,
// which is made when it is first asked for.
//
// A catalog of thousands is to cost the garbage collector next to nothing while
// requests are answered. So all that an entry says is one text, in which there
// is nothing to follow, and the other strings are parts of it.
type image struct {
	text     string           // the entry as JSON
	outline  entry.Outline    // what queries look at
	subject  subject          // what probes and events look at
	status   entry.Status     // that is shown; zero is none
	finding  *catalog.Finding // that it shows, or one that says the same; nil without a policy
	accesses *atomic.Int64    // nil where nobody counts them
	made     atomic.Pointer[answer]
}

// subject says which image an entry is about, and where it came from.
type subject struct {
	revision, digest digest.Digest
	reference        string
	sourceType       entry.SourceType
	imageBuild       string
}

// newImage makes the image of an item in some state, with what the policy makes of
// it.
func newImage(item entry.Item, status entry.Status, finding *catalog.Finding) (*image, error) {
	if finding != nil {
		item.Verdict, item.Signers = finding.Verdict, finding.Signers
	}
	if status.Name != "" {
		revision.ApplyStatus(&item, &status)
	}
	text, err := marshal(&item)
	if err != nil {
		return nil, err
	}
	i := &image{text: string(text), status: status, finding: finding}
	i.index(&item)
	return i, nil
}

// readImage makes the image that has a text, which is copied.
func readImage(text []byte) (*image, error) {
	item, err := unmarshal(text)
	if err != nil {
		return nil, err
	}
	i := &image{text: string(text)}
	i.index(&item)
	return i, nil
}

// index fills in what stands beside the text, as parts of it.
func (i *image) index(item *entry.Item) {
	part := func(s *string) {
		if at := strings.Index(i.text, *s); at >= 0 {
			*s = i.text[at : at+len(*s)]
		} else {
			*s = strings.Clone(*s) // JSON spells it otherwise
		}
	}
	i.outline = item.Outline()
	i.subject = subject{item.Revision, item.Digest, item.RegistryURL, item.SourceType, item.SourceImageBuild}
	for _, s := range []*string{
		&i.outline.Name, &i.outline.Catalog, &i.outline.Distro, &i.outline.Schedule,
		(*string)(&i.subject.revision), &i.subject.reference, (*string)(&i.subject.digest), (*string)(&i.subject.sourceType), &i.subject.imageBuild,
	} {
		part(s)
	}
	i.outline.Tags = slices.Clone(i.outline.Tags)
	for _, list := range [][]string{i.outline.Architectures, i.outline.Targets, i.outline.Tags} {
		for n := range list {
			part(&list[n])
		}
	}
	labels := i.outline.Labels
	i.outline.Labels = nil
	if len(labels) > 0 {
		i.outline.Labels = make(map[string]string, len(labels))
	}
	for key, value := range labels {
		part(&key)
		part(&value)
		i.outline.Labels[key] = value
	}
}

// in returns the entry in another state.
func (i *image) in(status entry.Status) (*image, error) {
	item, err := unmarshal([]byte(i.text))
	if err != nil {
		return nil, err
	}
	return newImage(item, status, i.finding)
}

// under returns the entry with what the policy makes of it now.
func (i *image) under(finding *catalog.Finding) (*image, error) {
	if i.finding == finding || sameFinding(i.finding, finding) {
		return i, nil
	}
	item, err := unmarshal([]byte(i.text))
	if err != nil {
		return nil, err
	}
	changed, err := newImage(item, i.status, finding)
	if err == nil {
		changed.accesses = i.accesses
	}
	return changed, err
}

// sameFinding reports whether two findings are shown alike.
func sameFinding(a, b *catalog.Finding) bool {
	return a != nil && b != nil && a.Verdict == b.Verdict && a.Stale == b.Stale && slices.EqualFunc(a.Signers, b.Signers, func(x, y entry.Signer) bool {
		sameTime := x.Time == y.Time || x.Time != nil && y.Time != nil && x.Time.Equal(y.Time.Time)
		return x.What == y.What && x.Name == y.Name && x.Format == y.Format && sameTime
	})
}

// Outlined implements entry.Outlined.
func (i *image) Outlined() *entry.Outline { return &i.outline }

func (i *image) name() string { return i.outline.Name }

func (i *image) key() health.Key { return health.Key{Catalog: i.outline.Catalog, Name: i.outline.Name} }

// watched is as much of the entry as a monitor wants.
func (i *image) watched() entry.Item {
	return entry.Item{
		Name: i.outline.Name, Catalog: i.outline.Catalog, Revision: i.subject.revision, RegistryURL: i.subject.reference,
		Digest: i.subject.digest, Labels: i.outline.Labels, PublishedAt: i.outline.CreatedAt,
	}
}

// answer is the entry as it is served by itself.
func (i *image) answer() *answer {
	if made := i.made.Load(); made != nil {
		return made
	}
	made := newAnswer([]byte(i.text))
	i.made.Store(made) // who comes second makes the same
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
