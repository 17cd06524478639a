#pragma once
// A doubly linked list through its members: no allocation, O(1) removal, and a member that dies leaves it.

#include <utility>

namespace ee::net {

class ListNode {
public:
    ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { unlink(); }

    bool linked() const { return next_ != nullptr; }
    void unlink() {
        if (!linked()) return;
        next_->previous_ = previous_;
        previous_->next_ = next_;
        next_ = previous_ = nullptr;
    }

private:
    template <class T>
    friend class List;
    ListNode* next_ = nullptr;
    ListNode* previous_ = nullptr;
};

template <class T>
class List {
public:
    List() { head_.next_ = head_.previous_ = &head_; }
    ~List() {
        while (!empty()) head_.next_->unlink();
        head_.next_ = head_.previous_ = nullptr;
    }

    bool empty() const { return head_.next_ == &head_; }
    T& front() { return static_cast<T&>(*head_.next_); }

    void push_back(T& item) {
        ListNode& node = item;
        node.unlink();
        node.previous_ = head_.previous_;
        node.next_ = &head_;
        head_.previous_->next_ = &node;
        head_.previous_ = &node;
    }

    // Moves all members of `other` to the end of this list.
    void splice(List& other) {
        if (other.empty()) return;
        ListNode* first = other.head_.next_;
        ListNode* last = other.head_.previous_;
        other.head_.next_ = other.head_.previous_ = &other.head_;
        first->previous_ = head_.previous_;
        head_.previous_->next_ = first;
        last->next_ = &head_;
        head_.previous_ = last;
    }

private:
    ListNode head_;
};

}  // namespace ee::net
