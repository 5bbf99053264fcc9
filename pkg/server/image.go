package server

import (
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/oci-catalog/caib/pkg/entry"
)

// image is one entry, ready to be served. It is immutable but for the answer,
// which is made when it is first asked for.
//
// A catalog of thousands is to cost the garbage collector next to nothing while
// requests are answered. So all that an entry says is one text, in which there
// is nothing to follow, and the strings of the item are parts of it.
type image struct {
	item     entry.Item    // what queries, events and probes look at; no more
	status   entry.Status  // that is shown; zero is none
	text     string        // the entry as JSON
	accesses *atomic.Int64 // nil where nobody counts them
	made     atomic.Pointer[answer]
}

// newImage makes the image of an item in some state.
func newImage(item entry.Item, status entry.Status) (*image, error) {
	if status.Name != "" {
		item.Apply(&status)
	}
	text, err := marshal(&item)
	if err != nil {
		return nil, err
	}
	i := &image{status: status, text: string(text)}
	i.item = outline(&item, i.text)
	return i, nil
}

// readImage makes the image that has a text.
func readImage(text string) (*image, error) {
	i := &image{text: text}
	item, err := i.whole()
	i.item = outline(&item, text)
	return i, err
}

// whole returns all that the entry says.
func (i *image) whole() (item entry.Item, err error) {
	return item, json.Unmarshal([]byte(i.text), &item, jsonv1.DefaultOptionsV1())
}

// in returns the entry in another state.
func (i *image) in(status entry.Status) (*image, error) {
	item, err := i.whole()
	if err != nil {
		return nil, err
	}
	return newImage(item, status)
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

// outline returns as much of an item as an image has, its strings as parts of
// the text.
func outline(item *entry.Item, text string) entry.Item {
	part := func(s string) string {
		if at := strings.Index(text, s); at >= 0 {
			return text[at : at+len(s)]
		}
		return strings.Clone(s) // JSON spells it otherwise
	}
	short := entry.Item{
		Name: part(item.Name), Catalog: part(item.Catalog), Revision: part(item.Revision),
		RegistryURL: part(item.RegistryURL), Digest: part(item.Digest),
		Phase: part(item.Phase), StatusReason: part(item.StatusReason),
		Architecture: part(item.Architecture), Distro: part(item.Distro), SizeBytes: item.SizeBytes,
		PublishedAt: item.PublishedAt, CreatedAt: item.CreatedAt,
		SourceType: part(item.SourceType), SourceImageBuild: part(item.SourceImageBuild), ScheduleName: part(item.ScheduleName),
	}
	for _, tag := range item.Tags {
		short.Tags = append(short.Tags, part(tag))
	}
	for _, target := range item.Targets {
		short.Targets = append(short.Targets, entry.Target{Name: part(target.Name)})
	}
	for _, platform := range item.PlatformVariants {
		short.PlatformVariants = append(short.PlatformVariants, entry.PlatformVariant{Architecture: part(platform.Architecture)})
	}
	if len(item.Labels) > 0 {
		short.Labels = make(map[string]string, len(item.Labels))
	}
	for key, value := range item.Labels {
		short.Labels[part(key)] = part(value)
	}
	return short
}

// marshal writes a value as the API shows it.
func marshal(value any) ([]byte, error) {
	return json.Marshal(value, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false))
}
