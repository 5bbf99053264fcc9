package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// pages asks for a page of one tag, where there are several.
func (t *trial) pages(ctx context.Context) {
	const feature = "pages of tags"
	tags, err := t.r.tags(ctx)
	if err == nil && len(tags) < 2 {
		descriptor, body := t.manifest("the second", nil)
		_, err = t.put(ctx, descriptor, body, t.scratch+".second")
	}
	var header http.Header
	var page []string
	if err == nil {
		var body []byte
		if header, body, err = t.r.get(ctx, question{path: "tags/list?n=1"}); err == nil {
			page, err = readTags(body)
		}
	}
	if err != nil {
		t.find(feature, verdict(err), wordsOf(err), "no page size is asked for where the list came without a Link")
		return
	}
	target, found, err := nextLink(header.Values("Link"))
	switch {
	case err != nil:
		t.find(feature, unsupported, wordsOf(err), "a list whose end is not known is an error")
	case found:
		t.find(feature, supported, t.elsewhere(target), "of a Link only the query is used")
	case len(page) > 1:
		t.find(feature, unsupported, "a list comes whole, whatever page is asked for", "whole lists are read, up to 256 MiB")
	default:
		t.find(feature, unsupported, "a page has no Link to the next one", "no page size is asked for where the list came without a Link")
	}
}

// elsewhere says that a link names another place than the tag list.
func (t *trial) elsewhere(target string) string {
	place, _, _ := strings.Cut(target, "?")
	own := "/v2/" + t.r.repository + "/tags/list"
	if place == own || place == "" || place == t.r.scheme+"://"+t.r.host+own {
		return ""
	}
	return printable(fmt.Sprintf("its Link names %s", place))
}

func (t *trial) largePages(ctx context.Context) {
	const feature = "large pages of tags"
	_, body, err := t.r.get(ctx, question{path: fmt.Sprintf("tags/list?n=%d", largePage)})
	if err == nil {
		_, err = readTags(body)
	}
	quirk := ""
	if err != nil {
		quirk = fmt.Sprintf("n=%d is refused: %s", largePage, wordsOf(err))
	}
	t.find(feature, verdict(err), quirk, "asked for once, and then the registry's own pages are read")
}

// last asks for what comes after a tag that does not exist.
func (t *trial) last(ctx context.Context) {
	const feature, handling = "tags after another", "asked for only with tags of the list"
	_, body, err := t.r.get(ctx, question{path: "tags/list?last=" + t.scratch + ".absent"})
	var tags []string
	if err == nil {
		tags, err = readTags(body)
	}
	switch {
	case err != nil:
		t.find(feature, verdict(err), "after a tag that does not exist: "+wordsOf(err), handling)
	case slices.Contains(tags, t.scratch):
		t.find(feature, unsupported, "the list comes whole, whatever it is to come after", handling)
	default:
		t.find(feature, supported, "", "")
	}
}
