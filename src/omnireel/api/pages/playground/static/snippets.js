// The same question as a program. Without packages to install, and over http as well as https.

import { ENDPOINT } from "./api.js";

const PLACEHOLDER = "https://example.com/clip.mp4";

/** The programs that send `input` about `clip`; clip: { name, address }, or null for a placeholder. */
export function snippet(language, input, clip) {
  const url = new URL(ENDPOINT, document.baseURI).href;
  const file = clip && !clip.address ? clip.name : null;
  const fields = file ? input : { ...input, video_url: clip?.address ?? PLACEHOLDER };
  return { curl, python, javascript }[language](url, fields, file);
}

// In single quotes, a shell changes nothing.
const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const path = (name) => (name.startsWith("-") ? `./${name}` : name);

function curl(url, fields, file) {
  const body = JSON.stringify(fields);
  const make = file
    ? `{ printf '%s' ${inShell(`${body.slice(0, -1)},"video_url":"data:video/mp4;base64,`)}
  base64 -w0 ${inShell(path(file))}
  printf '"}'
} > body.json`
    : `printf '%s' ${inShell(body)} > body.json`;
  return `export FAL_KEY="\${FAL_KEY:-any:key}"
${make}
curl --url ${inShell(url)} \\
  --header "Authorization: Key $FAL_KEY" --header "Content-Type: application/json" \\
  --data @body.json
`;
}

// A JSON string is a Python string as well; only true and false are written differently.
function pythonDict(fields) {
  const lines = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value);
    return `    ${JSON.stringify(name)}: ${text},`;
  });
  return `{\n${lines.join("\n")}\n}`;
}

function python(url, fields, file) {
  const read = file
    ? `clip = base64.b64encode(open(${JSON.stringify(file)}, "rb").read()).decode()
body["video_url"] = f"data:video/mp4;base64,{clip}"
`
    : "";
  return `import ${file ? "base64, " : ""}json, os, urllib.request

body = ${pythonDict(fields)}
${read}request = urllib.request.Request(
    ${JSON.stringify(url)},
    json.dumps(body).encode(),
    {"Content-Type": "application/json", "Authorization": "Key " + os.environ.get("FAL_KEY", "any:key")},
)
print(json.load(urllib.request.urlopen(request))["output"])
`;
}

function javascript(url, fields, file) {
  const read = file
    ? `const clip = await readFile(${JSON.stringify(file)}, "base64");
body.video_url = \`data:video/mp4;base64,\${clip}\`;
`
    : "";
  return `${file ? 'import { readFile } from "node:fs/promises";\n\n' : ""}const body = ${JSON.stringify(fields, null, 2)};
${read}const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: \`Key \${process.env.FAL_KEY ?? "any:key"}\` },
  body: JSON.stringify(body),
});
console.log((await response.json()).output);
`;
}
