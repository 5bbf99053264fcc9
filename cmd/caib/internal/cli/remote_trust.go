package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// With --verified and without a policy of its own, the command takes the server's
// word about signatures, and nothing that the server has not verified.

// List lists what the query selects. Without --verified, that the server keeps
// names back that it could match is a warning; with it, they are refused, and so are those that the
// policy of the server only warns of.
func (r *remote) List(ctx context.Context, options catalog.ListOptions) (catalog.Page, error) {
	if r.verified {
		options.Query.Signed = []entry.Verdict{entry.VerdictVerified}
	}
	page, err := r.Client.List(ctx, options)
	switch {
	case err != nil:
		return catalog.Page{}, err
	case r.verified:
		return r.withoutOthers(ctx, page, options)
	}
	r.warnOf(page.Refused)
	page.Refused = nil
	return page, nil
}

// warnOf warns once of names that the server keeps back.
func (r *remote) warnOf(names []catalog.Head) {
	for _, refused := range names {
		r.refuses.Do(func() { r.warn(refused.Err.Error()) })
	}
}

// withoutOthers returns a page of what is verified, with all else refused.
func (r *remote) withoutOthers(ctx context.Context, page catalog.Page, options catalog.ListOptions) (catalog.Page, error) {
	options.Query.Signed = []entry.Verdict{entry.VerdictUnsigned, entry.VerdictUntrusted, entry.VerdictInvalid, entry.VerdictUnknown}
	options.Query.Limit = 0
	others, err := r.Client.List(ctx, options)
	if err != nil {
		return catalog.Page{}, err
	}
	for _, item := range others.Items {
		page.Refused = append(page.Refused, catalog.Head{Name: item.Name, Err: r.require(item.Name, item.Verdict)})
	}
	return page, nil
}

// Heads lists what there is to verify. The names that the server keeps back are
// said once, with the first of several catalogs.
func (r *remote) Heads(ctx context.Context) ([]catalog.Head, error) {
	heads, err := r.Client.Heads(ctx)
	if slices.ContainsFunc(heads, isRefused) {
		told := true
		r.refuses.Do(func() { told = false })
		if told {
			heads = slices.DeleteFunc(heads, isRefused)
		}
	}
	return heads, err
}

// Get returns one entry.
func (r *remote) Get(ctx context.Context, name string, options catalog.GetOptions) (entry.Item, error) {
	item, err := r.Client.Get(ctx, name, options)
	if err == nil {
		err = r.require(name, entry.Verdict(item.Verdict))
	}
	if err != nil {
		return entry.Item{}, err
	}
	return item, nil
}

// History returns the revisions of one entry, or of all for "".
func (r *remote) History(ctx context.Context, name string) ([]entry.Event, error) {
	events, err := r.Client.History(ctx, name)
	for _, event := range events {
		if r.verified && event.Verdict == "" {
			return nil, r.checksNothing()
		}
	}
	return events, err
}

// Verify has the server check an entry.
func (r *remote) Verify(ctx context.Context, name string, options catalog.VerifyOptions) (catalog.Verification, error) {
	found, err := r.Client.Verify(ctx, name, options)
	if err == nil {
		err = r.require(name, found.Verdict)
	}
	return found, err
}

// require returns an error for an entry that the server did not verify, where that
// is required.
func (r *remote) require(name string, verdict entry.Verdict) error {
	switch {
	case !r.verified || verdict == entry.VerdictVerified:
		return nil
	case verdict == "":
		return r.checksNothing()
	}
	return &trust.Error{What: fmt.Sprintf("entry %q", name), Verdict: verdict, Reason: "so the server says, whose policy only warns of it"}
}

// checksNothing is why nothing of a server can be required to be verified.
func (r *remote) checksNothing() error {
	return withHint(fmt.Errorf("%w: --verified: the server %s checks no signatures: it has no trust policy", entry.ErrInvalid, r.host),
		"ask the registry itself: give --catalog and --key, and no --server; or start the server with `caib catalog serve --policy FILE`")
}

// signedCell is a verdict as tables show it: one that was not found out here is a
// server's word.
func (a *app) signedCell(verdict entry.Verdict) entry.Verdict {
	if verdict != "" && a.settings.server != "" {
		return verdict + " (server)"
	}
	return verdict
}
