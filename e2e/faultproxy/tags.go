package faultproxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// tags answers a tag list: the registry's, without what the faults hide, in
// the pages that they ask for.
func (p *Proxy) tags(r *http.Request, repository string, faults Faults) (*answer, error) {
	query := r.URL.Query()
	n, _ := strconv.Atoi(query.Get("n"))
	if faults.MaxN > 0 && n > faults.MaxN {
		return refusal(http.StatusRequestEntityTooLarge, "PAGINATION_NUMBER_INVALID", "n is too large"), nil
	}
	a, err := p.forward(http.MethodGet, r.URL.Path, r.Host, r.Header, nil)
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	var list struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, err
	}
	list.Tags = slices.DeleteFunc(list.Tags, func(tag string) bool {
		return faults.HideTags != nil && faults.HideTags(tag) || p.lags(repository, tag, faults)
	})
	slices.Sort(list.Tags)
	if last := query.Get("last"); last != "" {
		at, found := slices.BinarySearch(list.Tags, last)
		if !found && faults.UnknownLast404 {
			return refusal(http.StatusNotFound, "NAME_UNKNOWN", "last is unknown"), nil
		}
		if found {
			at++
		}
		list.Tags = list.Tags[at:]
	}
	size := faults.PageSize
	if size > 0 && n > 0 {
		size = n
	}
	if size > 0 && len(list.Tags) > size {
		list.Tags = list.Tags[:size]
		next := url.Values{"last": {list.Tags[len(list.Tags)-1]}, "n": {strconv.Itoa(size)}}
		form := faults.Link
		if form == "" {
			form = "<" + r.URL.Path + `?%s>; rel="next"`
		}
		a.header.Set("Link", strings.ReplaceAll(form, "%s", next.Encode()))
	}
	a.body, err = json.Marshal(list)
	return a, err
}
