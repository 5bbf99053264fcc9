package page

import (
	"net/url"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Entry is the page of one entry.
type Entry struct {
	Frame
	Item entry.Item
	// Past says that this is not the live publication: Query is how it was asked for.
	Past  bool
	Query url.Values
	// Catalog is the reference of the catalog that the entry is in.
	Catalog string
	// History is what happened to the name, oldest first, and HistoryProblem why that
	// cannot be said.
	History        []entry.Event
	HistoryProblem string
}

// Entry writes the page of an entry.
func (p *Pages) Entry(e *Entry) ([]byte, error) {
	return p.write("entry", &entryView{Entry: e, path: p.link("/entry/", e.Item.Name)})
}

type entryView struct {
	*Entry
	path string
}

func (v *entryView) Title() string { return v.Item.Name }
func (v *entryView) Here() string  { return "images" }

// Architectures and Format are those of the entry as lists have them.
func (v *entryView) Architectures() string { return strings.Join(v.Item.Architectures(), ", ") }
func (v *entryView) Format() string        { return v.Item.Outline().Format }

// labels are in the order of their keys.
type label struct{ Key, Value string }

func (v *entryView) Labels() (all []label) {
	for key, value := range v.Item.Labels {
		all = append(all, label{key, value})
	}
	slices.SortFunc(all, func(a, b label) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// Repository is where the image was published, without its tag.
func (v *entryView) Pinned() string { return entry.Pinned(v.Item.RegistryURL, v.Item.Digest) }

// maxHistory bounds the events of an entry that its page shows.
const maxHistory = 50

// Events returns the last events of the entry, newest first.
func (v *entryView) Events() []entry.Event {
	events := slices.Clone(v.History[max(len(v.History)-maxHistory, 0):])
	slices.Reverse(events)
	return events
}

// Earlier is how many events are not shown.
func (v *entryView) Earlier() int { return max(len(v.History)-maxHistory, 0) }

// version is one that can still be had.
type version struct {
	entry.Event
	Path    string
	Current bool
}

// Versions returns the versions since the name was last removed, newest first: of each
// the publication that counts.
func (v *entryView) Versions() (all []version) {
	seen := map[string]bool{}
	for _, event := range slices.Backward(v.History) {
		if event.Operation != "publish" {
			break
		}
		if event.Version == "" || seen[event.Version] || event.Format != "" {
			continue
		}
		seen[event.Version] = true
		query := url.Values{"version": {event.Version}}
		if v.Item.Catalog != "" {
			query.Set("catalog", v.Item.Catalog)
		}
		all = append(all, version{event, v.path + "?" + query.Encode(), event.Version == v.Item.Version})
		if len(all) == maxHistory {
			break
		}
	}
	if len(all) < 2 && !v.Past {
		return nil
	}
	return all
}

// Live is the way to the live publication.
func (v *entryView) Live() string {
	if v.Item.Catalog == "" {
		return v.path
	}
	return v.path + "?" + url.Values{"catalog": {v.Item.Catalog}}.Encode()
}
