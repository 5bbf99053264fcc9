package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var embedded embed.FS

// asset is a file that pages refer to.
type asset struct {
	content []byte
	version string // of the content
	media   string
}

// mediaTypes are those of the assets, by the ends of their names.
var mediaTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (p *Pages) loadAssets() error {
	files, err := fs.ReadDir(embedded, "assets")
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := fs.ReadFile(embedded, "assets/"+file.Name())
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		p.assets[file.Name()] = &asset{content, hex.EncodeToString(sum[:6]), mediaTypes[path.Ext(file.Name())]}
	}
	return nil
}

// assetPath is where browsers find an asset: with the version of its content, so that
// they need not ask again while it is the same.
func (p *Pages) assetPath(name string) string {
	return p.base + "/assets/" + name + "?v=" + p.assets[name].version
}

// Asset returns an asset by its name, and sets the headers that it goes with. ok is
// false where there is none.
func (p *Pages) Asset(header http.Header, name, version string) (content []byte, ok bool) {
	a := p.assets[name]
	if a == nil {
		return nil, false
	}
	header.Set("Content-Type", a.media)
	header.Set("Cache-Control", "no-cache")
	if version == a.version {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	return a.content, true
}
