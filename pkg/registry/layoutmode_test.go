//go:build unix

package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Users of the tests, and the group that two of them share.
const (
	alice, bob, stranger = 61001, 61002, 61003
	team                 = 61009
)

// TestLayoutHelper is not a test: it is a process of another user, which
// publishes a tag, or with CAIB_LAYOUT_READ lists.
func TestLayoutHelper(t *testing.T) {
	root := os.Getenv("CAIB_LAYOUT_ROOT")
	if root == "" {
		t.Skip("runs in processes that other tests start")
	}
	var umask int
	if _, err := fmt.Sscanf(os.Getenv("CAIB_LAYOUT_UMASK"), "%o", &umask); err != nil {
		t.Fatal(err)
	}
	syscall.Umask(umask)
	l, tag := newLayout(root), os.Getenv("CAIB_LAYOUT_TAG")
	d, manifest := manifestOf(t, tag, nil)
	err := errors.Join(l.CanPush(t.Context()), l.PushManifest(t.Context(), d, manifest, tag))
	if err == nil {
		err = readAll(t.Context(), l)
	}
	if err != nil {
		fmt.Printf("kind: %s\nerror: %v\n", kind(err), err)
	}
}

// users runs processes of other users.
type users struct {
	t      *testing.T
	binary string
	dir    string // that everybody can enter
}

func newUsers(t *testing.T) *users {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be several users")
	}
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	u := &users{t, filepath.Join(dir, "registry.test"), dir}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(u.binary, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return u
}

// directory makes a directory of alice's and the team's.
func (u *users) directory(name string, mode os.FileMode, group int) string {
	u.t.Helper()
	path := filepath.Join(u.dir, name)
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chown(path, alice, group), os.Chmod(path, mode)); err != nil {
		u.t.Fatal(err)
	}
	return path
}

// publish publishes a tag as a user and reads everything back. It returns the
// kind of the error, and what was printed.
func (u *users) publish(user int, groups []uint32, umask, root, tag string) (failed, output string) {
	u.t.Helper()
	command := exec.CommandContext(u.t.Context(), u.binary, "-test.run=^TestLayoutHelper$", "-test.timeout=60s")
	command.Env = []string{"CAIB_LAYOUT_ROOT=" + root, "CAIB_LAYOUT_TAG=" + tag, "CAIB_LAYOUT_UMASK=" + umask}
	command.Dir = "/"
	command.WaitDelay = time.Second
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user), Groups: groups}}
	var text bytes.Buffer
	command.Stdout, command.Stderr = &text, &text
	if err := command.Run(); err != nil {
		u.t.Fatalf("publish as user %d: %v\n%s", user, err, text.String())
	}
	_, after, _ := strings.Cut(text.String(), "kind: ")
	failed, _, _ = strings.Cut(after, "\n")
	return failed, text.String()
}

// modes are those of everything in a layout.
func modes(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			fmt.Fprintf(&b, "%v %d %s\n", info.Mode(), group(info), strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whoever can write to the directory can publish in it, after whoever did
// before, whatever their umasks.
func TestLayoutIsSharedAsItsDirectory(t *testing.T) {
	u := newUsers(t)
	member := []uint32{team}
	for _, c := range []struct {
		name     string
		mode     os.FileMode
		group    int
		below    string // the layout, if it is not the directory itself
		groups   []uint32
		outsider string // what a stranger gets
	}{
		{"setgid", 0o770 | os.ModeSetgid, team, "", member, "unauthorized"},
		{"no setgid", 0o770, team, "", member, "unauthorized"},
		{"readable", 0o775, team, "", member, "unauthorized"},
		{"everybody's", 0o777, alice, "", nil, ""},
		{"made below", 0o775 | os.ModeSetgid, team, "a/b", member, "unauthorized"},
	} {
		for _, umask := range []string{"000", "022", "077"} {
			t.Run(c.name+" "+umask, func(t *testing.T) {
				u.t = t
				root := filepath.Join(u.directory(c.name+umask, c.mode, c.group), c.below)
				for i, user := range []int{alice, bob, alice, bob} {
					if failed, output := u.publish(user, c.groups, umask, root, fmt.Sprintf("t%d", i)); failed != "" {
						t.Errorf("publication %d, by user %d:\n%s%s", i, user, output, modes(t, root))
					}
				}
				if failed, output := u.publish(stranger, nil, umask, root, "t9"); failed != c.outsider {
					t.Errorf("a stranger gets %q, want %q:\n%s%s", failed, c.outsider, output, modes(t, root))
				}
				for line := range strings.Lines(modes(t, root)) {
					if mode, _, _ := strings.Cut(line, " "); c.mode&0o007 == 0 && !strings.HasSuffix(mode, "---") {
						t.Errorf("others may use what is in a directory that is closed to them: %s", line)
					}
				}
			})
		}
	}
}

// Modes follow the directory's, not the umask.
func TestLayoutModes(t *testing.T) {
	for name, c := range map[string]struct{ dir, want os.FileMode }{
		"private":   {0o700, 0o600},
		"readable":  {0o755, 0o644},
		"group":     {0o770, 0o660},
		"odd":       {0o731, 0o620},
		"everybody": {0o777, 0o664}, // and the lock 0666
	} {
		root := t.TempDir()
		if err := os.Chmod(root, c.dir); err != nil {
			t.Fatal(err)
		}
		d, manifest := manifestOf(t, "m", nil)
		if err := newLayout(root).PushManifest(t.Context(), d, manifest, "t"); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			want := c.want
			if entry.IsDir() {
				want = c.dir
			} else if entry.Name() == lockFile {
				want |= c.dir & 0o006
			}
			if err == nil && info.Mode().Perm() != want {
				t.Errorf("%s: %s has mode %v, want %v", name, strings.TrimPrefix(path, root), info.Mode().Perm(), want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A lock that an earlier version made is for its owner alone until the owner
// writes again. The error is one of a layout, and its kind is a permission.
func TestLayoutMendsTheLock(t *testing.T) {
	u := newUsers(t)
	root := u.directory("shared", 0o770|os.ModeSetgid, team)
	lock := filepath.Join(root, lockFile)
	writeFile(t, lock, "", 0o600)
	if err := os.Chown(lock, alice, team); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		user   int
		failed string
	}{{bob, "unauthorized"}, {alice, ""}, {bob, ""}} {
		failed, output := u.publish(want.user, []uint32{team}, "022", root, fmt.Sprintf("t%d", i))
		if failed != want.failed || (failed != "" && !strings.Contains(output, lockFile)) {
			t.Errorf("publication %d, by user %d: %q, want %q:\n%s", i, want.user, failed, want.failed, output)
		}
	}
}

// Modes are given to files of the layout alone, not to what a link in a shared
// directory leads to.
func TestLayoutMendsNoOtherFiles(t *testing.T) {
	for name, link := range map[string]func(from, to string) error{"symbolic": os.Symlink, "hard": os.Link} {
		root := t.TempDir()
		if err := os.Chmod(root, 0o770); err != nil {
			t.Fatal(err)
		}
		text := "s3cr3t"
		if name == "symbolic" {
			text = "" // as locks are
		}
		secret := writeFile(t, filepath.Join(t.TempDir(), "secret"), text, 0o600)
		if err := link(secret, filepath.Join(root, lockFile)); err != nil {
			t.Fatal(err)
		}
		private := t.TempDir()
		if err := errors.Join(os.Chmod(private, 0o700), os.Symlink(private, filepath.Join(root, "blobs"))); err != nil {
			t.Fatal(err)
		}
		d, manifest := manifestOf(t, "m", nil)
		if err := newLayout(root).PushManifest(t.Context(), d, manifest, "t"); (err == nil) != (name == "hard") {
			t.Errorf("a lock that is a %s link: %v", name, err)
		}
		for path, want := range map[string]os.FileMode{secret: 0o600, private: 0o700} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("a %s link: %s has mode %v, want %v: %v", name, path, info.Mode(), want, err)
			}
		}
	}
}
