package catalog_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/serving"
)

// A catalog behind a gate asks nothing of a registry that is not let through,
// whichever way it is asked, and although it asked there before.
func TestCatalogBehindGate(t *testing.T) {
	w, outside, sign := newWorld(t, true, nil), newWorld(t, true, nil), team(t)
	c := w.open(catalog.Options{})
	image, own, other := outside.push("os/a", "1", "1"), w.push("team/catalog", "own", "1"), w.push("os/b", "1", "1")
	item := w.publish(c, image, catalog.PublishOptions{Name: "a"}).Item
	if _, err := c.Verify(t.Context(), "a", catalog.VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	closed, err := gate.New(c.Reference(), []string{"registry.example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.ForServer().SetGate(closed)
	for _, door := range []struct {
		what string
		ask  func(context.Context) error
	}{
		{"publish", func(ctx context.Context) error {
			_, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "new"})
			return err
		}},
		{"publish with a disk image", func(ctx context.Context) error {
			_, err := c.Publish(ctx, own, catalog.PublishOptions{Name: "new", Disk: image})
			return err
		}},
		{"add", func(ctx context.Context) error {
			_, err := c.Add(ctx, "new", other, catalog.PublishOptions{})
			return err
		}},
		{"republish", func(ctx context.Context) error {
			_, err := c.Republish(ctx, "a", catalog.PublishOptions{})
			return err
		}},
		{"sign", func(ctx context.Context) error {
			signing := *sign
			signing.Image = true
			_, err := c.Sign(ctx, "a", signing)
			return err
		}},
		{"probe", func(ctx context.Context) error { return c.ForServer().Probe(ctx, &item) }},
		{"verify", func(ctx context.Context) error {
			_, err := c.Verify(ctx, "a", catalog.VerifyOptions{})
			return err
		}},
	} {
		var err error
		requests := w.counter.during(func() { err = door.ask(t.Context()) })
		for _, request := range requests {
			if strings.Contains(request, "/os/") {
				t.Errorf("%s: %s was asked for, want nothing of an image", door.what, request)
			}
		}
		if !errors.Is(err, gate.ErrNotAllowed) {
			t.Errorf("%s: error %v, want that the registry is not opened", door.what, err)
		}
	}
}

// What a policy verifies by the entry's own signatures vouches for the registry of
// its image, and nothing else does.
func TestVerifiedEntriesVouch(t *testing.T) {
	w, good, bad, owner := newWorld(t, true, nil), newWorld(t, true, nil), newWorld(t, true, nil), team(t)
	writer := w.open(catalog.Options{})
	w.publish(writer, good.push("os/a", "1", "a"), catalog.PublishOptions{Name: "a", Sign: owner, NoAttach: true})
	w.publish(writer, bad.push("os/b", "1", "b"), catalog.PublishOptions{Name: "b", Sign: team(t), NoAttach: true})
	c := w.open(catalog.Options{CacheDir: t.TempDir(), Policy: trusting(t, owner)})
	made, err := gate.New(c.Reference(), nil, gate.NewHosts(c.Reference()))
	if err != nil {
		t.Fatal(err)
	}
	c.ForServer().SetGate(made)
	for reference, before := range map[string]bool{w.host + "/os/x": true, good.host + "/os/a": false, bad.host + "/os/b": false} {
		if err := made.Check(reference); (err == nil) != before {
			t.Errorf("before the evaluation, %s: error %v, want it let through: %t", reference, err, before)
		}
	}
	evaluate(t, look(t, c), serving.EvaluateOptions{})
	if err := made.Check(good.host + "/os/a"); err != nil {
		t.Errorf("what is verified: %v, want it let through", err)
	}
	if err := made.Check(bad.host + "/os/b"); err == nil {
		t.Error("what a stranger signed is let through")
	}
}
