/* list.h - intrusive doubly linked list; the head is a node too.  Header only. */
#ifndef BRAID_BASE_LIST_H
#define BRAID_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* list_entry gets the struct that embeds `node` as `member`. */
#define list_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
#define list_each(it, head)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* list_remove unlinks `node` and leaves it an empty list: removing twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_first(struct list *head) /* NULL if empty */
{
    return list_empty(head) ? NULL : head->next;
}

#endif
