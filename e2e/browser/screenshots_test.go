package browser

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write the screenshots of README to this `directory`")

// The screenshots of README: the list and an entry, light and dark. Each shows the page,
// and is small.
func takeScreenshots(t *testing.T, d *demo) {
	dir := *screenshots
	if dir == "" {
		dir = t.TempDir()
	}
	p := d.open(t)
	for name, path := range map[string]string{"list": "/", "entry": "/entry/autosd"} {
		for _, scheme := range []string{"light", "dark"} {
			p.do("look", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.EmulateViewport(1200, 800))
			p.visit(path)
			var image []byte
			p.do("screenshot", chromedp.ActionFunc(func(ctx context.Context) (err error) {
				image, err = page.CaptureScreenshot().WithFormat(page.CaptureScreenshotFormatWebp).WithQuality(82).Do(ctx)
				return err
			}))
			if len(image) < 10<<10 || len(image) > 120<<10 {
				t.Errorf("%s, %s: the screenshot has %d bytes, want what shows a page and is small", name, scheme, len(image))
			}
			if err := os.WriteFile(filepath.Join(dir, "page-"+name+"-"+scheme+".webp"), image, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
