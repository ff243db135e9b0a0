package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
)

func TestReadProgram(t *testing.T) {
	p, err := readProgram([]byte(strings.ReplaceAll(`# comment
FROM scratch
COPY cart /bin/cart
env A=1 B="two words" C=
EXPOSE 8080 53/udp
USER 65532:65532
WORKDIR /data
LABEL title="the cart" plain=yes
ENTRYPOINT ["/bin/cart", "-v"]
CMD ["-x"]
`, "\n", "\r\n")))
	require.NoError(t, err)
	assert.Equal(t, &program{file: "cart", path: "/bin/cart", spec: image.Spec{
		Env: []string{"A=1", "B=two words", "C="}, Ports: []string{"8080", "53/udp"}, User: "65532:65532", WorkDir: "/data",
		Labels: map[string]string{"title": "the cart", "plain": "yes"}, Entrypoint: []string{"/bin/cart", "-v"}, Cmd: []string{"-x"},
	}}, p)
}

func TestReadProgram_takesBuilder(t *testing.T) {
	const good = "FROM scratch\nCOPY a /a\nENTRYPOINT [\"/a\"]\n"
	_, err := readProgram([]byte(good))
	require.NoError(t, err)
	for name, dockerfile := range map[string]string{
		"a base":             strings.Replace(good, "scratch", "alpine", 1),
		"two stages":         strings.Replace(good, "scratch", "golang AS build\nRUN go build\nFROM scratch", 1),
		"a second stage":     good + "FROM scratch\n",
		"RUN":                good + "RUN true\n",
		"HEALTHCHECK":        good + "HEALTHCHECK NONE\n",
		"COPY from a stage":  strings.Replace(good, "COPY a", "COPY --from=build a", 1),
		"two files":          strings.Replace(good, "COPY a", "COPY a b", 1),
		"a second COPY":      good + "COPY b /b\n",
		"below a directory":  strings.Replace(good, "COPY a", "COPY bin/a", 1),
		"into a directory":   strings.Replace(good, "/a\n", "/a/\n", 1),
		"COPY as JSON":       strings.Replace(good, "COPY a /a", `COPY ["a", "/a"]`, 1),
		"a relative path":    strings.Replace(good, "COPY a /a", "COPY a a", 1),
		"entry by a shell":   strings.Replace(good, `["/a"]`, "/a", 1),
		"another entry":      strings.Replace(good, `["/a"]`, `["/b"]`, 1),
		"no entry":           strings.Replace(good, `ENTRYPOINT ["/a"]`, "", 1),
		"nothing":            "FROM scratch\n",
		"a variable":         good + "ENV A=$B\n",
		"two lines":          good + "ENV A=1 \\\n B=2\n",
		"the old form":       good + "ENV A 1\n",
		"an open quote":      good + "ENV A=\"1\n",
		"a quote inside":     good + "ENV A=1\"2\"\n",
		"single quotes":      good + "LABEL a='b c'\n",
		"right after quotes": good + "LABEL a=\"b\"c=d\n",
	} {
		_, err := readProgram([]byte(dockerfile))
		assert.Error(t, err, name)
	}
	_, err = readProgram([]byte(good + "\nRUN true\n"))
	require.ErrorIs(t, err, errTakesBuilder)
	assert.EqualError(t, err, "line 5: RUN: it takes a builder to do that")
}

// The eleven Dockerfiles are of the kind that both ways can build, and say what the manifests rely on.
func TestDockerfiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shop")
	require.NoError(t, extract(dir))
	for _, s := range eleven {
		p, err := programIn(filepath.Join(dir, s))
		require.NoError(t, err, s)
		assert.Equal(t, &program{file: s, path: "/" + s, spec: image.Spec{
			Env: []string{"PORT=8080"}, Ports: []string{"8080"}, User: "65532:65532", Entrypoint: []string{"/" + s},
			Labels: map[string]string{"org.opencontainers.image.title": "boutique " + s},
		}}, p)
	}
	_, err := programIn(filepath.Join(dir, "internal"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestProgramIn_foreign(t *testing.T) {
	dir := mkdir(filepath.Join(t.TempDir(), "[a]*"))
	write(t, filepath.Join(dir, "Dockerfile"), "FROM python\nCOPY app.py /\n")
	_, err := programIn(dir)
	require.ErrorIs(t, err, errNoProgram)
	write(t, filepath.Join(dir, "main.go"), "package main\n")
	_, err = programIn(dir)
	require.ErrorIs(t, err, errTakesBuilder)
	assert.ErrorContains(t, err, "its Dockerfile, line 1: FROM")
}

func FuzzReadProgram(f *testing.F) {
	f.Add("FROM scratch\nCOPY a /a\nENV A=\"b c\" D=e\nENTRYPOINT [\"/a\"]\n")
	f.Fuzz(func(t *testing.T, dockerfile string) {
		if p, err := readProgram([]byte(dockerfile)); err == nil {
			assert.NotEmpty(t, p.file)
			assert.True(t, strings.HasPrefix(p.path, "/"))
		}
	})
}
