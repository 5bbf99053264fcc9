package page

import (
	"net/url"
	"strconv"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Changes is a page of what happened in the catalogs.
type Changes struct {
	Frame
	Events []entry.Event // newest first
	Total  int           // on all pages
	From   int           // events before those of this page
}

// Changes writes what happened.
func (p *Pages) Changes(changes *Changes) ([]byte, error) {
	return p.write("changes", &changesView{Changes: changes, path: p.link("/changes"), entries: p.link("/entry/")})
}

type changesView struct {
	*Changes
	path, entries string
}

func (v *changesView) Title() string { return "Changes" }
func (v *changesView) Here() string  { return "changes" }

// change is an event with the way to its entry.
type change struct {
	entry.Event
	Path string
}

// Rows returns the events of the page.
func (v *changesView) Rows() (all []change) {
	for _, event := range v.Events {
		path := v.entries + url.PathEscape(event.Name)
		if event.Catalog != "" {
			path += "?" + url.Values{"catalog": {event.Catalog}}.Encode()
		}
		all = append(all, change{event, path})
	}
	return all
}

// Older is the way to the next page; "" on the last one.
func (v *changesView) Older() string {
	if next := v.From + len(v.Events); next < v.Total {
		return v.path + "?from=" + strconv.Itoa(next)
	}
	return ""
}

// Newest is the way to the first page; "" there.
func (v *changesView) Newest() string {
	if v.From == 0 {
		return ""
	}
	return v.path
}
