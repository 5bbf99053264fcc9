package page

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// List is a page of entries that a query finds.
type List struct {
	Frame
	Query   url.Values // as the list route takes it, without what stands for a page of it
	Items   []entry.Item
	Total   int // on all pages
	Refused int // names that the policy keeps back and the query could match
	Absent  []string
	Facets  entry.Facets
	Next    string // the token of the next page; "" on the last one
	Later   bool   // this is not the first page
	Problem string // why the query cannot be answered; "" where it is
}

// List writes the list.
func (p *Pages) List(list *List) ([]byte, error) {
	return p.write("list", &listView{List: list, path: p.link("/")})
}

// listView is what the template of the list asks for.
type listView struct {
	*List
	path string
}

func (v *listView) Title() string { return "Images" }

// Here tells which of the links of the frame leads here.
func (v *listView) Here() string { return "images" }

// Several reports whether entries of several catalogs are listed.
func (v *listView) Several() bool { return len(v.Catalogs) > 1 }

// Search is the text that is searched.
func (v *listView) Search() string { return v.Query.Get("search") }

// hidden are the parameters that the search form carries along.
type hidden struct{ Name, Value string }

// Hidden returns all of the query but what the form has fields for.
func (v *listView) Hidden() (all []hidden) {
	for _, name := range sortedKeys(v.Query) {
		for _, value := range v.Query[name] {
			if name != "search" && name != "sort" {
				all = append(all, hidden{name, value})
			}
		}
	}
	return all
}

// order is one of the orders of a list.
type order struct {
	Value, Text string
	Chosen      bool
}

// Orders returns the orders to choose from.
func (v *listView) Orders() []order {
	chosen := cmp.Or(v.Query.Get("sort"), string(entry.SortCreated))
	all := []order{{Value: string(entry.SortCreated), Text: "Newest"}, {Value: string(entry.SortName), Text: "Name"}, {Value: string(entry.SortVersion), Text: "Version"}, {Value: string(entry.SortSize), Text: "Size"}}
	for n := range all {
		all[n].Chosen = all[n].Value == chosen
	}
	return all
}

// active is a filter that is set, with the way to the list without it.
type active struct{ Name, Value, Without string }

// Active returns the filters that are set, the searched text excepted.
func (v *listView) Active() (all []active) {
	for _, name := range sortedKeys(v.Query) {
		if name == "sort" || name == "search" {
			continue
		}
		for _, value := range v.Query[name] {
			all = append(all, active{filterNames[name], value, v.without(name, value)})
		}
	}
	return all
}

// Clear is the way to the list without any filter.
func (v *listView) Clear() string {
	query := url.Values{}
	if sort := v.Query.Get("sort"); sort != "" {
		query.Set("sort", sort)
	}
	return v.at(query)
}

// NextPath is the way to the next page; FirstPath, back to the first one.
func (v *listView) NextPath() string {
	query := clone(v.Query)
	query.Set("continue", v.Next)
	return v.at(query)
}

func (v *listView) FirstPath() string { return v.at(v.Query) }

// filterNames are the names of filters in words. Not all have choices.
var filterNames = map[string]string{
	"distro": "Distro", "architecture": "Architecture", "target": "Target", "format": "Format", "phase": "State", "signed": "Signatures", "tags": "Tag",
	"name": "Name", "label": "Label", "since": "Since", "as-of": "As of", "versions": "Versions", "latest": "Latest only", "image": "Image",
}

// filters are those with choices, in the order of the page. Several values of one that
// is repeated can be chosen.
var filters = []struct {
	name     string
	repeated bool
}{
	{"distro", false}, {"architecture", false}, {"target", true}, {"format", false}, {"phase", false}, {"signed", true}, {"tags", true},
}

// shownChoices is how many choices of a filter are seen at once, and maxChoices how
// many there are on a page at all.
const (
	shownChoices = 8
	maxChoices   = 40
)

// filterView is a filter with its choices.
type filterView struct {
	Name, Text  string
	First, Rest []choice
	More        int // values that are not on the page
}

type choice struct {
	Value, Text, Path, Key string
	Count                  int
	Chosen                 bool
}

// Filters returns the filters that have anything to choose.
func (v *listView) Filters() (all []filterView) {
	for _, f := range filters {
		counts := v.Facets[f.name]
		chosen := v.chosen(f.name)
		var choices []choice
		for value, n := range counts {
			choices = append(choices, v.choice(f.name, value, n, f.repeated, slices.Contains(chosen, value)))
		}
		for _, value := range chosen {
			if _, counted := counts[value]; !counted {
				choices = append(choices, v.choice(f.name, value, 0, f.repeated, true))
			}
		}
		if len(choices) == 0 {
			continue
		}
		slices.SortFunc(choices, func(a, b choice) int {
			if a.Chosen != b.Chosen {
				return map[bool]int{true: -1, false: 1}[a.Chosen]
			}
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
		})
		view := filterView{Name: f.name, Text: filterNames[f.name], More: max(len(choices)-maxChoices, 0)}
		choices = choices[:min(len(choices), maxChoices)]
		view.First, view.Rest = choices, nil
		if len(choices) > shownChoices+2 {
			view.First, view.Rest = choices[:shownChoices], choices[shownChoices:]
		}
		all = append(all, view)
	}
	return all
}

// chosen returns the values of a filter that the query has, as facets spell them.
func (v *listView) chosen(name string) (values []string) {
	for _, given := range v.Query[name] {
		switch name {
		case "architecture":
			given = entry.Architecture(given)
		case "target":
			given = strings.ToLower(strings.TrimSpace(given))
		case "phase":
			if phase, known := entry.ParsePhase(given); known {
				given = string(phase)
			}
		}
		values = append(values, given)
	}
	return values
}

func (v *listView) choice(name, value string, n int, repeated, chosen bool) choice {
	c := choice{Value: value, Text: value, Count: n, Chosen: chosen, Key: name + "=" + value}
	if name == "signed" {
		c.Text = verdictWords(entry.Verdict(value)).Text
	}
	query := clone(v.Query)
	switch {
	case chosen && repeated:
		c.Path = v.without(name, value)
		return c
	case chosen:
		query.Del(name)
	case repeated:
		query.Add(name, value)
	default:
		query.Set(name, value)
	}
	c.Path = v.at(query)
	return c
}

// without is the way to the list without one value of a filter.
func (v *listView) without(name, value string) string {
	query := clone(v.Query)
	chosen := v.chosen(name)
	query.Del(name)
	for n, given := range v.Query[name] {
		if given != value && chosen[n] != value {
			query.Add(name, given)
		}
	}
	return v.at(query)
}

func (v *listView) at(query url.Values) string {
	if len(query) == 0 {
		return v.path
	}
	return v.path + "?" + query.Encode()
}

// Row is an entry of the list.
type row struct {
	entry.Item
	Path          string
	Format        string
	Architectures []string
}

// Rows returns the entries of the page.
func (v *listView) Rows() (all []row) {
	for n := range v.Items {
		item := &v.Items[n]
		r := row{Item: *item, Architectures: item.Architectures(), Format: item.Outline().Format}
		query := url.Values{}
		if v.Several() && item.Catalog != "" {
			query.Set("catalog", item.Catalog)
		}
		if v.Query.Get("versions") == "true" && item.Version != "" {
			query.Set("version", item.Version)
		}
		if asOf := v.Query.Get("as-of"); asOf != "" {
			query.Set("as-of", asOf)
		}
		r.Path = strings.TrimSuffix(v.path, "/") + "/entry/" + url.PathEscape(item.Name)
		if len(query) > 0 {
			r.Path += "?" + query.Encode()
		}
		all = append(all, r)
	}
	return all
}

func clone(query url.Values) url.Values {
	copied := make(url.Values, len(query)+1)
	for name, values := range query {
		copied[name] = slices.Clone(values)
	}
	return copied
}

func sortedKeys(query url.Values) []string {
	var names []string
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
