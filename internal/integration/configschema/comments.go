package configschema

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const module = "github.com/socketflow/socketflow"

// comments are those of the types of this repository and of their fields.
type comments struct {
	root  string
	types map[string]string // by package, type and field
}

// of is the comment of a type.
func (c *comments) of(of reflect.Type) string { return c.read(of)[of.PkgPath()+"."+of.Name()] }

// ofField is the comment of a field. Where it names fields, it has their keys.
func (c *comments) ofField(of reflect.Type, field string) string {
	comment := c.read(of)[of.PkgPath()+"."+of.Name()+"."+field]
	for i := range of.NumField() {
		name, key := of.Field(i).Name, of.Field(i).Tag.Get("mapstructure")
		switch {
		case key == "" || name == strings.ToUpper(name) || name == "Go":
		case name == field:
			comment = strings.TrimPrefix(comment, name)
			if comment != "" && !strings.HasPrefix(comment, " ") {
				comment = name + comment
			} else if comment != "" {
				comment = key + comment
			}
		default: // not at the beginning of a sentence, where it is a word
			comment = regexp.MustCompile(`([a-z,(] )`+name+`\b`).ReplaceAllString(comment, "${1}"+key)
		}
	}
	return comment
}

// read reads the package of a type.
func (c *comments) read(of reflect.Type) map[string]string {
	folder, ours := strings.CutPrefix(of.PkgPath(), module)
	if !ours || c.types[of.PkgPath()] == "read" {
		return c.types
	}
	if c.types == nil {
		c.types = map[string]string{}
	}
	c.types[of.PkgPath()] = "read"
	files, _ := filepath.Glob(filepath.Join(c.root, folder, "*.go"))
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil { // what does not parse was not built, either
			ast.Inspect(file, func(n ast.Node) bool { return c.declaration(n, of.PkgPath()) })
		}
	}
	return c.types
}

func (c *comments) declaration(n ast.Node, pkg string) bool {
	group, isGroup := n.(*ast.GenDecl)
	if !isGroup {
		return true
	}
	for _, spec := range group.Specs {
		of, isType := spec.(*ast.TypeSpec)
		if !isType {
			continue
		}
		c.types[pkg+"."+of.Name.Name] = oneLine(group.Doc)
		if members, isStruct := of.Type.(*ast.StructType); isStruct {
			for _, field := range members.Fields.List {
				for _, name := range field.Names {
					c.types[pkg+"."+of.Name.Name+"."+name.Name] = oneLine(field.Doc)
				}
			}
		}
	}
	return false
}

func oneLine(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}

// resourceAttributes are the descriptions of the resource's attributes.
func resourceAttributes(root string) (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(root, "metadata.yaml"))
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Attributes map[string]struct {
			Description string `yaml:"description"`
		} `yaml:"resource_attributes"`
	}
	if err := yaml.Unmarshal(raw, &metadata); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for name, attribute := range metadata.Attributes {
		all[name] = strings.Join(strings.Fields(attribute.Description), " ")
	}
	return all, nil
}
