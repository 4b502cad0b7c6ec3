// A day of a JavaScript engine: recursion, closures, typed arrays, strings, maps, sorting, regular expressions, JSON,
// generators, exceptions and big integers. Each part prints what it found, so that engines can be compared.
function random(seed) {
    return () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff);
}

function fib(n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
console.log("fib", fib(23));

function sieve(limit) {
    const composite = new Uint8Array(limit + 1);
    let count = 0;
    for (let i = 2; i <= limit; i++) {
        if (composite[i]) continue;
        count++;
        for (let j = i * i; j <= limit; j += i) composite[j] = 1;
    }
    return count;
}
console.log("sieve", sieve(300000));

function queens(n, row = 0, columns = 0, left = 0, right = 0) {
    if (row === n) return 1;
    let solutions = 0;
    for (let free = ~(columns | left | right) & ((1 << n) - 1); free; free &= free - 1) {
        const bit = free & -free;
        solutions += queens(n, row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return solutions;
}
console.log("queens", queens(8));

const next = random(42);
const words = [];
for (let i = 0; i < 20000; i++) {
    let word = "";
    for (let n = next() % 7 + 1; n > 0; n--) word += String.fromCharCode(97 + (next() >> 8) % 26);
    words.push(word);
}
const counts = new Map();
for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
const ranking = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : a > b ? 1 : 0));
console.log("words", counts.size, ranking.slice(0, 5).map(([word, n]) => `${word}:${n}`).join(" "));

const text = words.join(" ");
console.log("regex", (text.match(/\b[aeiou]\w*[^aeiou]\b/g) ?? []).length, text.replace(/([a-m])([n-z])/g, "$2$1").length);

class Shape {
    constructor(side) {
        this.side = side;
    }
    area() {
        return this.side * this.side;
    }
}
class Circle extends Shape {
    area() {
        return super.area() * Math.PI;
    }
}
let area = 0;
for (let i = 0; i < 60000; i++) area += (i % 3 ? new Shape(i % 17) : new Circle(i % 13)).area();
console.log("shapes", area.toFixed(4));

const tree = { name: "root", children: [] };
(function grow(node, depth) {
    for (let i = 0; i < 5 && depth > 0; i++) {
        const child = { name: `${node.name}/${i}`, size: next() % 1000, tags: ["x", i, null, true], children: [] };
        node.children.push(child);
        grow(child, depth - 1);
    }
})(tree, 5);
const json = JSON.stringify(tree);
const total = (node) => (node.size ?? 0) + node.children.reduce((sum, child) => sum + total(child), 0);
console.log("json", json.length, total(JSON.parse(json)));

function* collatz(n) {
    while (n !== 1) yield (n = n % 2 ? 3 * n + 1 : n / 2);
}
let longest = [0, 0];
for (let i = 1; i < 2000; i++) {
    let steps = 0;
    for (const _ of collatz(i)) steps++;
    if (steps > longest[1]) longest = [i, steps];
}
console.log("collatz", longest.join(" "));

let caught = 0;
for (let i = 0; i < 5000; i++) {
    try {
        if (i % 2) null.property;
        else JSON.parse("{");
    } catch (error) {
        caught += error instanceof TypeError ? 1 : error instanceof SyntaxError ? 2 : 0;
    }
}
console.log("caught", caught);

let factorial = 1n;
for (let i = 1n; i <= 400n; i++) factorial *= i;
console.log("factorial", factorial.toString().length, (factorial % 1000000007n ** 3n).toString());

const matrix = (n, f) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => f(i, j)));
const product = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
console.log("matrix", product(matrix(60, (i, j) => i + j), matrix(60, (i, j) => i - j / 2)).flat().reduce((a, b) => a + b));
