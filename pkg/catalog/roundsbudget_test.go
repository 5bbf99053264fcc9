package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/internal/testrounds"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// budget is what a command may take: without and with a login by token.
type budget struct{ open, token float64 } // 0 is not measured

// Waits that a command begins by itself, which are spread at random, count as parts
// of rounds: where a fallback index is written, budgets leave room for them.

// measured is one command, and what it begins with.
type measured struct {
	name     string
	protocol testrounds.Protocol
	cold     bool // nothing is stored of what was read before
	verified bool // under a policy
	prepare  func(*wire) (image string)
	run      func(ctx context.Context, w *wire, c *catalog.Catalog, image string) error
	// API and fallback are for registries with the Referrers API, and without.
	api, fallback budget
}

// published is an entry that stands.
func published(w *wire) string { return w.publish("first", catalog.PublishOptions{}) }

func signed(w *wire) string {
	w.sign.Image = true
	return w.publish("first", catalog.PublishOptions{Sign: w.sign})
}

// another is one that stands, and an image to publish.
func another(architectures ...string) func(*wire) string {
	return func(w *wire) string {
		published(w)
		return w.push("os/second", "1", architectures...)
	}
}

func list(ctx context.Context, _ *wire, c *catalog.Catalog, _ string) error {
	page, err := c.List(ctx, catalog.ListOptions{})
	if err == nil && page.Total == 0 {
		err = errors.New("nothing is listed")
	}
	return err
}

func get(ctx context.Context, _ *wire, c *catalog.Catalog, _ string) error {
	_, err := c.Get(ctx, "first", catalog.GetOptions{})
	return err
}

func publish(ctx context.Context, _ *wire, c *catalog.Catalog, image string) error {
	return publishWith(ctx, c, image, catalog.PublishOptions{})
}

func publishWith(ctx context.Context, c *catalog.Catalog, image string, options catalog.PublishOptions) error {
	result, err := c.Publish(ctx, image, options)
	if err == nil && (result.Attachment.Outcome != catalog.Attached && result.Attachment.Outcome != catalog.Skipped || len(result.Warnings) > 0) {
		err = fmt.Errorf("attachment %+v, warnings %v", result.Attachment, result.Warnings)
	}
	return err
}

var commands = []measured{
	{name: "list warm", prepare: published, run: list,
		api: budget{2, 4}, fallback: budget{2, 4}},
	{name: "get warm", prepare: published, run: get,
		api: budget{2, 4}, fallback: budget{2, 4}},
	{name: "list cold", cold: true, prepare: entries(36), run: list, api: budget{5, 7}},
	{name: "list cold, HTTP/2", protocol: testrounds.HTTP2, cold: true, prepare: entries(36), run: list, api: budget{4, 6}},
	{name: "get cold", cold: true, prepare: entries(36), run: get, api: budget{5, 7}},
	{name: "publish unchanged", prepare: published, run: publish,
		api: budget{6, 9}, fallback: budget{6, 9}},
	{name: "verify", verified: true, prepare: signed, run: verify,
		api: budget{8, 11}, fallback: budget{8, 12}},
	{name: "verify, many attachments", verified: true, prepare: manyAttachments, run: verify,
		api: budget{8, 12}, fallback: budget{9, 12}},
	{name: "verify all", verified: true, prepare: signedEntries(100), run: verifyAll, api: budget{open: 80}},
	{name: "verify all, HTTP/2", protocol: testrounds.HTTP2, verified: true, prepare: signedEntries(100), run: verifyAll, fallback: budget{open: 88}},
	{name: "remove", prepare: published, run: remove,
		api: budget{12, 16}, fallback: budget{17.5, 21.5}},
	{name: "add", prepare: another("arm64"), run: add,
		api: budget{8, 10}, fallback: budget{8, 10}},
	{name: "sign", prepare: published, run: sign,
		api: budget{13, 19}, fallback: budget{21.5, 28}},
	{name: "publish", prepare: another("arm64"), run: publish,
		api: budget{10, 13}, fallback: budget{13.5, 16.5}},
	{name: "publish an index", prepare: another("arm64", "amd64"), run: publish,
		api: budget{12, 14}, fallback: budget{15.5, 17.5}},
	{name: "publish signed, with the image", prepare: another("arm64"), run: publishSigned,
		api: budget{17, 20}, fallback: budget{42, 46}},
	{name: "publish from a cold runner", cold: true, prepare: cold, run: publish,
		api: budget{12, 14}, fallback: budget{15.5, 18}},
}

// cold is an image to publish where much stands.
func cold(w *wire) string {
	entries(36)(w)
	return w.push("os/second", "1", "arm64")
}

func add(ctx context.Context, _ *wire, c *catalog.Catalog, image string) error {
	_, err := c.Add(ctx, "second", image, catalog.PublishOptions{})
	return err
}

func remove(ctx context.Context, _ *wire, c *catalog.Catalog, _ string) error {
	_, err := c.Remove(ctx, "first", catalog.RemoveOptions{})
	return err
}

func sign(ctx context.Context, w *wire, c *catalog.Catalog, _ string) error {
	_, err := c.Sign(ctx, "first", *w.sign)
	return err
}

func publishSigned(ctx context.Context, w *wire, c *catalog.Catalog, image string) error {
	w.sign.Image = true
	return publishWith(ctx, c, image, catalog.PublishOptions{Sign: w.sign})
}

// entries are as many entries of distinct images, the first one among them.
func entries(count int) func(*wire) string {
	return manyOf(count, catalog.PublishOptions{NoAttach: true, NoKeep: true})
}

func signedEntries(count int) func(*wire) string {
	return func(w *wire) string { return manyOf(count, catalog.PublishOptions{Sign: w.sign})(w) }
}

func manyOf(count int, options catalog.PublishOptions) func(*wire) string {
	return func(w *wire) string {
		for i := range count - 1 {
			w.publish(fmt.Sprintf("entry-%03d", i), options)
		}
		return w.publish("first", options)
	}
}

// manyAttachments are those of the same image, published again and again.
func manyAttachments(w *wire) (image string) {
	image = signed(w)
	for i := range 8 {
		w.publish("first", catalog.PublishOptions{Sign: w.sign, Description: fmt.Sprint("again ", i)})
	}
	return image
}

func verify(ctx context.Context, _ *wire, c *catalog.Catalog, _ string) error {
	_, err := c.Verify(ctx, "first", catalog.VerifyOptions{})
	return err
}

// verifyAtOnce is how many entries the command verifies at a time.
const verifyAtOnce = 16

func verifyAll(ctx context.Context, _ *wire, c *catalog.Catalog, _ string) error {
	heads, err := c.Heads(ctx)
	if err == nil && len(heads) == 0 {
		err = errors.New("nothing is there to verify")
	}
	var group errgroup.Group
	group.SetLimit(verifyAtOnce)
	for _, head := range heads {
		group.Go(func() error {
			_, err := c.Verify(ctx, head.Name, catalog.VerifyOptions{})
			return err
		})
	}
	return errors.Join(err, group.Wait())
}

func TestRounds(t *testing.T) {
	for _, tt := range commands {
		for _, kind := range []struct {
			name             string
			referrers, token bool
			most             float64
		}{
			{"API", true, false, tt.api.open},
			{"API, token", true, true, tt.api.token},
			{"fallback", false, false, tt.fallback.open},
			{"fallback, token", false, true, tt.fallback.token},
		} {
			if kind.most == 0 {
				continue // another line of the table says as much
			}
			t.Run(tt.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWire(t, kind.referrers, kind.token)
					image := tt.prepare(w)
					options := catalog.Options{CacheDir: w.cache, StateDir: w.state}
					if tt.cold {
						options.CacheDir, options.StateDir = t.TempDir(), t.TempDir()
					}
					if tt.verified {
						options.Policy = w.policy
					}
					c := w.open(tt.protocol, options)
					got := w.network.Count(func() {
						if err := tt.run(t.Context(), w, c, image); err != nil {
							t.Error(err)
						}
					})
					if got > kind.most {
						t.Errorf("%.2f rounds, %d requests, want at most %.2f rounds:\n%s", got, w.network.Requests(), kind.most, w.network.Trace())
					}
				})
			})
		}
	}
}
