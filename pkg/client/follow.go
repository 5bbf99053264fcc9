package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Follower tells what moves forward in a catalog of a server, as a catalog.Follower
// does. It is for one goroutine.
type Follower struct {
	client *Client
	state  string        // of the server, before which all that moved was handled; "" is none
	next   string        // its state when told was read
	told   []entry.Event // what was told last
}

// Follow returns a follower that goes on after a state that another one ended in; ""
// is none. Of a server with several catalogs, follow each (Client.Catalogs).
func (c *Client) Follow(state string) *Follower { return &Follower{client: c, state: state} }

// Moved is that of catalog.Follower: known has the tag of the event that was told of a
// name last, and what moved further is returned. What the server's policy refuses moves
// nothing. The server is asked for all names at first, and where it does not know any
// more what moved since; else for those that did.
func (f *Follower) Moved(ctx context.Context, known map[string]string) ([]entry.Event, error) {
	f.State(known)
	answer, err := f.ask(ctx)
	if err != nil {
		return nil, err
	}
	var moved []entry.Event
	for _, event := range answer.Items {
		switch {
		case f.client.catalog == "" && event.Catalog != "":
			return nil, fmt.Errorf("%w: %s serves several catalogs: each is followed by itself", entry.ErrInvalid, f.client.base.Host)
		case f.client.catalog == event.Catalog && isBehind(known, &event):
			moved = append(moved, event)
		}
	}
	slices.SortFunc(moved, func(a, b entry.Event) int { return revision.CompareTags(a.Tag, b.Tag) })
	f.next, f.told = answer.State, moved
	f.State(known)
	return moved, nil
}

// ask asks for what moved since the state or, where that is not known, for all.
func (f *Follower) ask(ctx context.Context) (api.Changes, error) {
	r := request{method: http.MethodGet, path: api.Root + "/changes", query: url.Values{}}
	if f.state != "" {
		r.query.Set("since", f.state)
	}
	answer, err := ask[api.Changes](ctx, f.client, r)
	if failed, ok := errors.AsType[*Error](err); ok && failed.Problem != nil && failed.Problem.Status == http.StatusGone && f.state != "" {
		f.state = ""
		return f.ask(ctx)
	}
	return answer, err
}

// State returns the state to go on after: that of the last answer, once all that it
// told is noted in known.
func (f *Follower) State(known map[string]string) string {
	if f.next != "" && !slices.ContainsFunc(f.told, func(event entry.Event) bool { return isBehind(known, &event) }) {
		f.state, f.next, f.told = f.next, "", nil
	}
	return f.state
}

// isBehind reports whether what is known of a name comes before an event.
func isBehind(known map[string]string, event *entry.Event) bool {
	return revision.CompareTags(known[event.Name], event.Tag) < 0
}
