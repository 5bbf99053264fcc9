package cli

// metadataFlag is a flag for a member of an entry's metadata that is text.
type metadataFlag struct {
	name, member string // of the flag, and of the member in documents
	help         string
	otherwise    bool // publish takes it where the image does not say
}

// metadataFlags are those of publish and add, which complete what an image says with
// them, and of edit, which sets them.
func metadataFlags() []metadataFlag {
	return []metadataFlag{
		{"architecture", "architecture", "architecture", true},
		{"os", "os", "operating system", true},
		{"variant", "variant", "architecture variant", true},
		{"distro", "distro", "distribution", true},
		{"distro-version", "distroVersion", "version of the distribution", false},
		{"kernel-version", "kernelVersion", "version of the kernel", false},
		{"build-mode", "buildMode", "how it was built: bootc, image or package", false},
		{"export-format", "exportFormat", "disk format", true},
	}
}
