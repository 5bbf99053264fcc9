package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// imageEntry is an item that get prints of an image, and where it is from.
type imageEntry struct {
	*entry.Item
	Attached bool `json:"attached,omitempty"` // an attachment of the image says so, not the catalog
}

// isAccepted reports whether an entry is what no policy is against.
func (e imageEntry) isAccepted() bool {
	return !e.Attached || e.Verdict == "" || e.Verdict == entry.VerdictVerified
}

// isImage reports whether an argument is the reference of an image: no name of an
// entry has these characters.
func isImage(arg string) bool { return strings.ContainsAny(arg, "/:@") }

// image prints the entries of an image.
func (o *getOptions) image(ctx context.Context, image string) error {
	if o.version != "" || o.asOf != "" {
		return withHint(fmt.Errorf("%w: --version and --as-of choose a state of an entry, and %s is an image", entry.ErrInvalid, image),
			"name the entry: `caib catalog get NAME --version V`; `caib catalog get IMAGE` shows the names and versions that have the image")
	}
	if _, err := registry.ParseReference(image); err != nil && !strings.Contains(image, "/") {
		return withHint(fmt.Errorf("%w: %s is no name of an entry, and no image", entry.ErrInvalid, image),
			"an image is REGISTRY/REPOSITORY:TAG, or @DIGEST; `caib catalog get NAME --version V` shows a version of an entry")
	}
	catalogs, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return err
	}
	found, failed := entriesOf(ctx, catalogs, image)
	all := found.entries()
	if len(all) == 0 {
		if failed != nil {
			return trustHint(imageHint(failed))
		}
		err := fmt.Errorf("no entry has the image %s: %w", found.named(image), entry.ErrNotFound)
		if o.settings.server != "" && found.Digest == "" {
			return withHint(err, "a server finds what was published from this very tag; give the image by digest, REPOSITORY@sha256:..., or ask the registry: give --catalog, and no --server")
		}
		return imageHint(err)
	}
	if err := o.printImage(all); err != nil {
		return err
	}
	if failed == nil && !slices.ContainsFunc(all, imageEntry.isAccepted) {
		failed = withHint(fmt.Errorf("%w: image %s: only attachments tell of it, and nothing verifies them", entry.ErrUntrusted, found.named(image)),
			"`-o yaml` says why of each; ask the catalog that they name, if you trust it: `caib catalog get IMAGE --catalog CATALOG`")
	}
	return trustHint(failed)
}

// imageHint says how else to look for an image that nothing was found of.
func imageHint(err error) error {
	if errors.Is(err, entry.ErrNotFound) && !errors.Is(err, entry.ErrUnreachable) && !isWrongPath(err) {
		return withHint(err, "a tag is looked up in its registry: give what was published by digest, REPOSITORY@sha256:...; `caib catalog list --versions -o wide` shows the digests there are")
	}
	return err
}

// imageFound is what several catalogs know of an image.
type imageFound struct{ catalog.ImageEntries }

// named is the image with the digest that was looked for.
func (f *imageFound) named(image string) string {
	if f.Digest == "" || strings.Contains(image, "@") {
		return image
	}
	return fmt.Sprintf("%s (%s)", image, f.Digest)
}

// entriesOf asks every catalog. What an attachment tells of is shown if none of the
// catalogs has it.
func entriesOf(ctx context.Context, catalogs []reader, image string) (found imageFound, failed error) {
	for n, c := range catalogs {
		one, err := c.GetImage(ctx, image)
		failed = errors.Join(failed, err, refused(c.Reference(), one.Refused))
		for _, item := range one.Items {
			if len(catalogs) > 1 {
				item.Catalog = c.Reference()
			}
			found.Items = append(found.Items, item)
		}
		if one.Digest != "" {
			found.Digest = one.Digest
		}
		if n == 0 {
			found.Attached = one.Attached
			continue
		}
		found.Attached = slices.DeleteFunc(found.Attached, func(item entry.Item) bool {
			return err == nil && !slices.ContainsFunc(one.Attached, func(other entry.Item) bool { return other.Revision == item.Revision })
		})
	}
	return found, failed
}

func (f *imageFound) entries() (all []imageEntry) {
	for n := range f.Items {
		all = append(all, imageEntry{Item: &f.Items[n]})
	}
	for n := range f.Attached {
		all = append(all, imageEntry{Item: &f.Attached[n], Attached: true})
	}
	return all
}

func (o *getOptions) printImage(all []imageEntry) error {
	switch o.settings.output {
	case "table", "wide":
		items := make([]entry.Item, len(all))
		for n, one := range all {
			items[n] = *one.Item
			if one.Attached && items[n].Catalog == "" {
				items[n].Catalog = "(an attachment)"
			}
		}
		return o.table(items, o.settings.output == "wide", false)
	case "name":
		o.printNames(all)
		return nil
	}
	format := "yaml"
	if o.settings.output == "json" {
		format = "json"
	}
	return o.document(format, struct {
		Items []imageEntry `json:"items"`
		Total int          `json:"total"`
	}{all, len(all)})
}

// printNames prints a name a line. Under a policy, what only attachments tell of is
// left out unless it is verified, and said to people: a name does not show that.
func (o *getOptions) printNames(all []imageEntry) {
	var unchecked []string
	for _, one := range all {
		if !one.isAccepted() {
			unchecked = append(unchecked, one.Name)
			continue
		}
		fmt.Fprintln(o.system.Out, one.Name)
	}
	if len(unchecked) > 0 {
		slices.Sort(unchecked)
		o.warn("left out, because only attachments of the image tell of it and nothing verifies them: " + strings.Join(slices.Compact(unchecked), ", "))
	}
}

// GetImage finds the entries that the server has of an image, by digest, or by the
// reference that they were published from: a server resolves no tags, and reads no
// attachments.
func (r *remote) GetImage(ctx context.Context, image string) (catalog.ImageEntries, error) {
	ref, err := registry.ParseReference(image)
	switch {
	case err != nil:
		return catalog.ImageEntries{}, err
	case ref.Layout != "":
		return catalog.ImageEntries{}, withHint(fmt.Errorf("%w: %s: no server opens directories", entry.ErrInvalid, image),
			"give --catalog, and no --server; or the digest: `caib catalog get REPOSITORY@sha256:...`")
	}
	page, err := r.Client.List(ctx, catalog.ListOptions{Query: entry.Query{Versions: true}, Image: image})
	if err != nil {
		return catalog.ImageEntries{}, err
	}
	found := catalog.ImageEntries{Digest: ref.Digest}
	if r.verified {
		found.Refused = page.Refused
	} else {
		r.warnOf(page.Refused)
	}
	for _, item := range page.Items {
		if err := r.require(item.Name, item.Verdict); err != nil {
			found.Refused = append(found.Refused, catalog.Head{Name: item.Name, Err: err})
			continue
		}
		found.Items = append(found.Items, item)
	}
	return found, nil
}
