package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/oci-catalog/caib/pkg/entry"
)

// largePage is the page size that is asked for where a tag list has more than
// one page.
const largePage = 1000

// Tags implements Repository.
func (r *remoteRepository) Tags(ctx context.Context) ([]string, error) {
	operation := "list tags of " + r.base
	tags, err := r.tags(ctx)
	var answer *refusal
	if errors.As(err, &answer) && answer.status == http.StatusNotFound && r.isAPI(answer.url) {
		switch {
		case tags == nil && answer.isStandardAbsence():
			return nil, nil // it says in a registry's words that there is no such repository
		case tags != nil:
			err = fmt.Errorf("%w: a page of the list does not exist", entry.ErrUnreachable)
		case answer.page, answer.isAbsence():
			err = r.begin(ctx, answer)
		}
	}
	if err != nil {
		return nil, r.classify(ctx, operation, err)
	}
	return tags, nil
}

// begin says what the 404 of a tag list means that is not in a registry's
// words: anybody's, perhaps. For a writer it says that the path is wrong, if no
// upload may begin there either.
func (r *remoteRepository) begin(ctx context.Context, answer *refusal) error {
	if r.login.pushes.Load() {
		if err := r.beginUpload(ctx); status(err) == http.StatusNotFound {
			return err
		}
	}
	return r.answered(CauseHidden, answer, fmt.Errorf("%w: 404, and not in the words of a registry%s", entry.ErrUnreachable, quoted(answer)))
}

// quoted are the words of a refusal, for a text that has its own.
func quoted(answer *refusal) string {
	if answer.text == "" || answer.page {
		return ""
	}
	return ": " + printable(answer.text)
}

// tagList collects the tags of pages, each once.
type tagList struct {
	seen map[string]bool
	all  []string // not nil once there was a page
	left listBudget
}

// add reports whether a page says something new, or nothing at all.
func (l *tagList) add(page []string) bool {
	before := len(l.all)
	for _, tag := range page {
		if !l.seen[tag] {
			l.seen[tag] = true
			l.all = append(l.all, tag)
		}
	}
	return len(page) == 0 || len(l.all) > before
}

// tags reads all pages. Those that were read before an error are returned
// beside it, to tell that there were some.
func (r *remoteRepository) tags(ctx context.Context) ([]string, error) {
	list := &tagList{seen: map[string]bool{}, left: r.left}
	page, next, err := r.tagPage(ctx, list, "")
	if err != nil {
		return nil, err
	}
	list.all = make([]string, 0, len(page))
	list.add(page)
	if next != "" {
		next = r.tryLargePage(ctx, list, next)
	}
	for pages := 2; next != ""; pages++ {
		if pages >= r.maxPages {
			return list.all, fmt.Errorf("%w: a list of more than %d pages", entry.ErrUnreachable, r.maxPages)
		}
		if page, next, err = r.tagPage(ctx, list, next); err != nil {
			return list.all, err
		}
		if !list.add(page) {
			return list.all, fmt.Errorf("%w: the tag list repeats itself", entry.ErrUnreachable)
		}
	}
	return list.all, nil
}

// tryLargePage asks once for a large page where a small one would be next, and
// returns the query of the page after it. A host that answers with an error, or
// with less than it gives by itself, is not asked like this again, and next
// stays what it was.
func (r *remoteRepository) tryLargePage(ctx context.Context, list *tagList, next string) string {
	query, err := url.ParseQuery(next)
	if given, bad := strconv.Atoi(query.Get("n")); err != nil || (bad == nil && given >= largePage) || r.small.Contains(r.host) {
		return next
	}
	query.Set("n", strconv.Itoa(largePage))
	usual := len(list.all)
	page, following, err := r.tagPage(context.WithValue(ctx, onceKey{}, true), list, query.Encode())
	if err != nil || len(page) < usual || !list.add(page) {
		r.small.Add(r.host, true)
		return next
	}
	return following
}

// tagPage reads one page of a list and returns the query of the next one; "" is
// none.
func (r *remoteRepository) tagPage(ctx context.Context, list *tagList, query string) ([]string, string, error) {
	path := "tags/list"
	if query != "" {
		path += "?" + query
	}
	header, body, err := r.get(ctx, question{path: path})
	if err != nil {
		return nil, "", err
	}
	tags, err := readTags(body)
	if err == nil {
		err = list.left.take(len(tags), body)
	}
	if err != nil {
		return nil, "", err
	}
	next, _, err := nextPage(header.Values("Link"))
	return tags, next, err
}

// readTags reads a page of a tag list.
func readTags(body []byte) ([]string, error) {
	_, elements, err := readList(body, "tags")
	if err != nil {
		return nil, err
	}
	tags := make([]string, len(elements))
	for i, element := range elements {
		if element[0] != '"' || json.Unmarshal(element, &tags[i]) != nil {
			return nil, fmt.Errorf("%w: a tag list with an element that is no text", entry.ErrUnreachable)
		}
	}
	return tags, nil
}
