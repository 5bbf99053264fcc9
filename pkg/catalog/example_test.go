package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// A pipeline publishes an image, and a flashing station finds it. Image and
// catalog are directories here; with registry references nothing else changes.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "caib-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	image := "oci:" + filepath.Join(dir, "autosd") + ":10.1"
	if err := build(ctx, image); err != nil {
		panic(err)
	}

	c, err := catalog.Open("oci:"+filepath.Join(dir, "catalog"), catalog.Options{Author: "pipeline@example.com"})
	if err != nil {
		panic(err)
	}
	result, err := c.Publish(ctx, image, catalog.PublishOptions{Version: "10.1", Tags: []string{"nightly"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(result.Outcome, result.Item.Name, result.Item.Version, result.Attachment.Outcome)

	page, err := c.List(ctx, catalog.ListOptions{Query: entry.Query{Targets: []string{"rpi4"}, Tags: []string{"nightly"}}})
	if err != nil {
		panic(err)
	}
	for _, item := range page.Items {
		fmt.Println(item.Name, item.Distro, item.Architectures(), item.Bootc)
	}
	// Output:
	// published autosd 10.1 attached
	// autosd autosd [arm64 amd64] true
}

// build stands for what a pipeline did before.
func build(ctx context.Context, image string) error {
	ref, err := registry.ParseReference(image)
	if err != nil {
		return err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return err
	}
	repository, err := client.Open(ref)
	if err != nil {
		return err
	}
	_, err = samples.Bootc(ctx, repository, ref.Tag, samples.Build{
		Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64", "amd64"}, Version: "10.1",
		Created: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	})
	return err
}
