package testbed

// The viewer inside the Scans tab of Azure DevOps, and the libraries it takes from its page.
var (
	SARIFViewer = Spec{
		Name: "sarif-web-component",
		NPM: &NPM{
			Package: "@microsoft/sarif-web-component", Version: "0.6.0-29", Program: "dist/index.js",
			SHA512: "xMzXR5XcWlHnbWzfIl6MJUgnQzaCWV29GiudWxKjrK+wQ2BTJw0jRdYvng7ZucIZSqlbR2/CWXo16lSPenAb4w==",
		},
	}
	React = Spec{
		Name: "react",
		NPM: &NPM{
			Package: "react", Version: "16.14.0", Program: "umd/react.production.min.js",
			SHA512: "0X2CImDkJGApiAlcf0ODKIneSwBPhqJawOa5wCtKbu7ZECrmS26NvtSILynQ66cgkT/RJ4LidJOc3bUESwmU8g==",
		},
	}
	ReactDOM = Spec{
		Name: "react-dom",
		NPM: &NPM{
			Package: "react-dom", Version: "16.14.0", Program: "umd/react-dom.production.min.js",
			SHA512: "1gCeQXDLoIqMgqD3IO2Ah9bnf0w9kzhwN5q4FGnHZ67hBm9yePzB5JJAIQCc8x3pFnNlwFq4RidZggNAAkzWWw==",
		},
	}
)
