/* Trees built, walked and freed: the allocator and recursion. Usage: binary_trees DEPTH. */
#include <stdio.h>
#include <stdlib.h>

typedef struct Tree {
    struct Tree *left, *right;
} Tree;

static Tree *grow(int depth) {
    Tree *tree = malloc(sizeof *tree);
    if (!tree) exit(1);
    tree->left = depth ? grow(depth - 1) : NULL;
    tree->right = depth ? grow(depth - 1) : NULL;
    return tree;
}
static int count(const Tree *tree) { return tree->left ? 1 + count(tree->left) + count(tree->right) : 1; }
static void fell(Tree *tree) {
    if (tree->left) {
        fell(tree->left);
        fell(tree->right);
    }
    free(tree);
}

int main(int argc, char **argv) {
    int deepest = argc > 1 ? atoi(argv[1]) : 10;
    Tree *lasting = grow(deepest);
    for (int depth = 4; depth <= deepest; depth += 4) {
        int rounds = 1 << (deepest - depth + 4), sum = 0;
        for (int i = 0; i < rounds; i++) {
            Tree *tree = grow(depth);
            sum += count(tree);
            fell(tree);
        }
        printf("%d trees of depth %d: %d\n", rounds, depth, sum);
    }
    printf("lasting tree of depth %d: %d\n", deepest, count(lasting));
    fell(lasting);
    return 0;
}
